// Checks the kernels on the device of this machine and times them. cuda-ops/gpu-check builds and runs it.
//
//   hla_gpu_check --check                    every kernel and shape against float64; tensors between guard zones
//   hla_gpu_check --check-warpgroups         the same for the warpgroup kernels of Hopper
//                                            either with --small: a few of them, for a first look and compute-sanitizer
//   hla_gpu_check --ceilings MEASURED        what the device is, as fields of JSON on standard output; adds the rate of its
//                                            copies to MEASURED, which holds what sdpa.py measured
//   hla_gpu_check --bench aims|rest warp|warpgroup MEASURED ROWS TABLE
//                                            adds a line of JSON to ROWS and one to TABLE as soon as a shape is timed: the four
//                                            shapes that have aims, or the others; by the kernels for every device or Hopper's
#include <cstring>

#include "bench.h"
#include "prepared.h"

namespace {

using namespace cases;

std::vector<Case> shapes(bool small) {
  std::vector<Case> all;
  const auto core = [&](int64_t b, int64_t h, int64_t n, int64_t m, int64_t dv, std::vector<int64_t> ranks, std::vector<int64_t> powers) {
    if (!small || std::max(n, m) <= 150) all.push_back(make_case(b, h, n, m, dv, 0, ranks, powers, {}, 1 + static_cast<uint32_t>(all.size())));
  };
  const auto fused = [&](int64_t b, int64_t h, int64_t n, int64_t m, int64_t d, int64_t dv, std::vector<int64_t> ranks,
                         std::vector<int64_t> powers, std::vector<int64_t> activations, int64_t mask_rows = 0) {
    if (small && std::max(n, m) > 150) return;
    all.push_back(make_case(b, h, n, m, dv, d, ranks, powers, activations, 1 + static_cast<uint32_t>(all.size()), mask_rows));
  };
  core(1, 1, 1, 1, 1, {1}, {1});
  core(1, 2, 7, 7, 24, {16}, {1});
  core(1, 1, 33, 65, 24, {256}, {1});
  core(1, 2, 1000, 1000, 128, {64}, {1});
  core(1, 2, 1000, 1000, 128, {16}, {2});
  core(2, 1, 65, 65, 1, {7}, {3});
  core(1, 1, 1000, 1000, 24, {6}, {4});
  core(1, 1, 129, 129, 128, {32, 32}, {1, 1});
  core(1, 2, 1000, 1000, 128, {16, 16}, {1, 1});
  core(1, 4, 512, 512, 32, {8, 3, 1}, {2, 2, 1});
  core(1, 1, 1000, 7, 15, {11, 4}, {2, 2});
  core(1, 1, 17, 19, 15, {3, 4}, {4, 2});
  core(1, 2, 1000, 1000, 24, {6, 6, 7}, {1, 1, 1});
  core(1, 1, 7, 9, 15, {2, 2, 1, 2, 2, 2, 1, 2}, {1, 1, 2, 1, 1, 1, 1, 1});
  core(1, 1, 100, 100, 24, {1, 8, 3, 1}, {1, 2, 1, 2});
  core(1, 2, 1, 1000, 128, {8, 8}, {1, 1});
  core(1, 2, 1000, 1, 15, {8, 8}, {1, 1});
  core(3, 2, 31, 47, 24, {6, 5}, {1, 2});
  core(1, 1, 50, 70, 256, {7, 3}, {1, 1});
  core(1, 2, 7, 0, 15, {5, 3}, {1, 2});
  core(1, 1, 257, 20000, 128, {10, 10, 10}, {1, 1, 1});
  fused(1, 3, 37, 41, 24, 15, {4, 5}, {1, 1}, {1, 1});
  fused(2, 4, 65, 65, 32, 32, {8, 3, 1}, {2, 2, 1}, {0, 0, 1});
  fused(1, 2, 17, 130, 7, 24, {6, 3}, {1, 2}, {2, 3});
  fused(1, 2, 300, 600, 128, 128, {16}, {2}, {0});
  fused(1, 1, 33, 17, 300, 40, {33, 2}, {1, 1}, {1, 3});
  fused(1, 1, 20, 300, 16, 8, {70}, {1}, {1});
  fused(2, 2, 50, 140, 32, 32, {8, 3, 1}, {2, 2, 1}, {0, 0, 1}, 2);
  fused(2, 1, 50, 140, 16, 24, {6, 5}, {1, 1}, {1, 3}, 1);
  return all;
}

// For the warpgroup kernels, with one term whatever the number of keys.
std::vector<Case> warpgroup_shapes(bool small) {
  std::vector<Case> all;
  const auto core = [&](int64_t b, int64_t h, int64_t n, int64_t m, int64_t dv, std::vector<int64_t> ranks, int64_t depth = 0,
                        int64_t mask_rows = 0) {
    if (small && std::max(n, m) > 300) return;
    all.push_back(make_case(b, h, n, m, dv, depth, ranks, {1, 1}, {1, 1}, 1 + static_cast<uint32_t>(all.size()), mask_rows));
  };
  core(1, 1, 1, 1, 8, {8, 16});
  core(2, 2, 65, 63, 24, {8, 16});
  core(1, 1, 257, 65, 64, {16, 16});
  core(1, 2, 300, 200, 128, {16, 16});
  core(1, 1, 70, 129, 120, {8, 32});
  core(1, 1, 40, 90, 64, {32, 32});
  core(1, 1, 600, 700, 72, {24, 16});
  core(1, 1, 300, 600, 128, {32, 32});
  core(1, 2, 520, 321, 128, {16, 32});
  core(1, 1, 513, 130, 40, {48, 16});
  core(1, 2, 1000, 1000, 128, {16, 16});
  core(1, 1, 90, 70, 128, {8, 32}, 128);
  core(1, 2, 270, 600, 64, {16, 16}, 40);
  core(2, 1, 1300, 40, 8, {8, 16}, 32);
  core(1, 2, 30, 290, 64, {32, 32}, 96);
  core(2, 2, 70, 90, 64, {16, 16}, 32, 2);
  core(2, 2, 1500, 20000, 128, {16, 16});
  core(1, 3, 3000, 7000, 128, {32, 32});
  return all;
}

// Runs, failures and largest errors of the checks.
struct Tally {
  int runs = 0, failures = 0;
  double largest[3] = {};

  void check(const Case& c, size_t type_index, int terms, bool warpgroups) {
    const Type& type = kTypes[type_index];
    for (const bool tokens_first : {false, true}) {
      Prepared prepared(c, type, tokens_first, terms, warpgroups);
      prepared.run();
      const std::vector<unsigned char> first = prepared.output();
      prepared.run();
      const double error = relative_error(c.expected, type, prepared.output_layout(), first.data());
      largest[type_index] = std::max(largest[type_index], error);
      ++runs;
      const char* const wrong = prepared.by_warpgroups() != warpgroups ? "other kernels ran"
                                : !(error <= type.tolerance)           ? "beyond the tolerance"
                                : prepared.output() != first           ? "a second run gives other bits"
                                : !prepared.zones_whole()              ? "memory beside a tensor was written"
                                                                       : nullptr;
      if (wrong == nullptr) continue;
      ++failures;
      std::printf("FAILED %s, %s, %s first%s: %s, relative error %.3g\n", name_of(c).c_str(), type.name,
                  tokens_first ? "tokens" : "heads", warpgroups ? ", warpgroups" : "", wrong, error);
    }
  }
};

int check_warps(bool small) {
  Tally tally;
  for (Case& c : shapes(small)) {
    expect_all(c);
    for (size_t t = 0; t < 3; ++t) tally.check(c, t, 0, false);
  }
  std::printf("%d runs, %d failures; largest relative errors: float %.2g, float16 %.2g, bfloat16 %.2g\n", tally.runs,
              tally.failures, tally.largest[0], tally.largest[1], tally.largest[2]);
  return tally.failures == 0 ? 0 : 1;
}

int check_warpgroups(bool small) {
  if (!hla::cuda::has_warpgroups(0)) {
    std::printf("not run: no warpgroup products on this device\n");
    return 0;
  }
  Tally tally;
  for (Case& c : warpgroup_shapes(small)) {
    expect_all(c);
    tally.check(c, 2, 1, true);
  }
  std::printf("%d runs, %d failures; largest relative error: bfloat16 %.2g\n", tally.runs, tally.failures, tally.largest[2]);
  return tally.failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const hla::cuda::Probe found = hla::cuda::probe();
  if (found.devices == 0) {
    std::fprintf(stderr, "hla_gpu_check: no GPU to check: %s\n", found.reason.c_str());
    return 3;
  }
  try {
    const bool small = argc == 3 && std::strcmp(argv[2], "--small") == 0;
    if (what == "--check" && (argc == 2 || small)) return check_warps(small);
    if (what == "--check-warpgroups" && (argc == 2 || small)) return check_warpgroups(small);
    if (what == "--ceilings" && argc == 3) return ceilings(argv[2]);
    if (what == "--bench" && argc == 7) {
      const std::string which = argv[2], by = argv[3];
      if ((which == "aims" || which == "rest") && (by == "warp" || by == "warpgroup")) {
        if (by == "warpgroup" && !hla::cuda::has_warpgroups(0)) {
          std::printf("not run: no warpgroup products on this device\n");
          return 0;
        }
        return bench(which == "aims", by == "warpgroup", argv[4], argv[5], argv[6]);
      }
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hla_gpu_check: %s\n", e.what());
    return 1;
  }
  std::fprintf(stderr,
               "usage: hla_gpu_check --check [--small] | --check-warpgroups [--small] | --ceilings MEASURED\n"
               "       | --bench aims|rest warp|warpgroup MEASURED ROWS TABLE\n");
  return 2;
}
