// Checks the kernels on the device of this machine and times them. cuda-ops/gpu-check builds and runs it.
//
//   hla_gpu_check --check                    every kernel and shape against float64; tensors between guard zones
//   hla_gpu_check --check-warpgroups         the same for the warpgroup kernels of Hopper
//                                            either with --small: a few of them, for compute-sanitizer
//   hla_gpu_check --bench ROWS REPORT TEXT [--without-warpgroups]
//                                            times, the ceilings, one JSON report, a table last. ROWS holds what sdpa.py
//                                            measured, TEXT is put into the report as the field "run"
#include <cuda_runtime.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>

#include "launcher.h"
#include "reference.h"
#include "sizes.h"

namespace {

using namespace cases;
using hla::cuda::CoreCall;
using hla::cuda::CoreSchedule;
using hla::cuda::RowTables;
using hla::cuda::Rows;
using hla::cuda::Sizes;
using hla::cuda::StreamLauncher;

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "hla_gpu_check: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Device memory with a zone before and behind it that no kernel may change. New memory holds NaNs.
class Device {
 public:
  explicit Device(size_t bytes) : bytes_(bytes), all_(bytes + 2 * kZone) {
    check(cudaMalloc(&memory_, all_), "allocation");
    check(cudaMemset(memory_, 0xff, all_), "memset");
  }
  ~Device() { cudaFree(memory_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  unsigned char* data() const { return static_cast<unsigned char*>(memory_) + kZone; }
  void put(const void* from, size_t bytes) { check(cudaMemcpy(data(), from, bytes, cudaMemcpyHostToDevice), "copy in"); }
  std::vector<unsigned char> get() const {
    std::vector<unsigned char> bytes(bytes_);
    check(cudaMemcpy(bytes.data(), data(), bytes_, cudaMemcpyDeviceToHost), "copy out");
    return bytes;
  }
  bool zones_whole() const {
    std::vector<unsigned char> before(kZone), behind(kZone);
    check(cudaMemcpy(before.data(), memory_, kZone, cudaMemcpyDeviceToHost), "copy out");
    check(cudaMemcpy(behind.data(), data() + bytes_, kZone, cudaMemcpyDeviceToHost), "copy out");
    const auto untouched = [](unsigned char byte) { return byte == 0xff; };
    return std::all_of(before.begin(), before.end(), untouched) && std::all_of(behind.begin(), behind.end(), untouched);
  }

 private:
  static constexpr size_t kZone = 4096;
  size_t bytes_, all_;
  void* memory_ = nullptr;
};

// One case in device memory, ready to run again and again.
class Prepared {
 public:
  Prepared(const Case& c, const Type& type, bool tokens_first, int terms_or_choice = 0, bool warpgroups = false)
      : case_(c), type_(type), tables_(hla::MonomialPlan(c.ranks, c.powers)) {
    int device = 0;
    check(cudaGetDevice(&device), "device");
    const bool by_warpgroups = warpgroups && hla::cuda::has_warpgroups(device);
    const int terms = terms_or_choice > 0 ? terms_or_choice : hla::cuda::terms_of(type.element, c.keys);
    const int64_t columns = c.depth > 0 ? c.depth : c.features();
    query_layout_ = {c.batch, c.heads, c.queries, columns, tokens_first};
    key_layout_ = {c.batch, c.heads, c.keys, columns, tokens_first};
    value_layout_ = {c.batch, c.heads, c.keys, c.width, tokens_first};
    output_layout_ = {c.batch, c.heads, c.queries, c.width, tokens_first};
    query_ = tensor(query_layout_, c.query);
    key_ = tensor(key_layout_, c.key);
    value_ = tensor(value_layout_, c.value);
    output_ = std::make_unique<Device>(static_cast<size_t>(output_layout_.count() * type.size));
    words_ = std::make_unique<Device>(tables_.words().size() * 4);
    words_->put(tables_.words().data(), tables_.words().size() * 4);
    const Sizes sizes{c.batch, c.heads, c.queries, c.keys, c.width};
    call_ = {sizes,
             type.element,
             type.element,
             query_layout_.rows(query_->data()),
             key_layout_.rows(key_->data()),
             value_layout_.rows(value_->data()),
             output_layout_.rows(output_->data()),
             static_cast<float>(c.epsilon)};
    if (c.depth > 0) {
      const Layout weight{1, c.heads, c.depth, c.features(), false};
      const Layout bias{1, c.heads, 1, c.features(), false};
      query_map_ = {call_.query_features, c.queries, (parameters_[0] = tensor(weight, c.query_weight))->data(),
                    (parameters_[1] = tensor(bias, c.query_bias))->data(), {}};
      key_map_ = {call_.key_features, c.keys, (parameters_[2] = tensor(weight, c.key_weight))->data(),
                  (parameters_[3] = tensor(bias, c.key_bias))->data(), {}};
      if (c.mask_rows > 0) {
        key_mask_ = std::make_unique<Device>(c.key_mask.size() * sizeof(float));
        key_mask_->put(c.key_mask.data(), c.key_mask.size() * sizeof(float));
        key_map_.mask = c.mask_in(key_mask_->data());
      }
      call_.feature_element = hla::cuda::mapped_element(tables_, call_, terms, by_warpgroups);
      const int64_t row_bytes = c.features() * hla::cuda::bytes_of(call_.feature_element);
      query_features_ = std::make_unique<Device>(static_cast<size_t>(c.batch * c.heads * c.queries * row_bytes));
      key_features_ = std::make_unique<Device>(static_cast<size_t>(c.batch * c.heads * c.keys * row_bytes));
      call_.query_features = hla::cuda::map_rows(query_features_->data(), c.heads, c.queries, c.features());
      call_.key_features = hla::cuda::map_rows(key_features_->data(), c.heads, c.keys, c.features());
    }
    schedule_ = std::make_unique<CoreSchedule>(tables_, reinterpret_cast<const int32_t*>(words_->data()), call_,
                                               hla::cuda::multiprocessors(device),
                                               terms, by_warpgroups);
    workspace_ = std::make_unique<Device>(schedule_->workspace_bytes());
  }

  void run() {
    StreamLauncher launcher(nullptr);
    if (case_.depth > 0) {
      hla::cuda::run_maps(launcher, type_.element, call_.sizes, case_.depth, case_.features(), query_map_,
                          case_.activation_runs(), call_.feature_element, query_features_->data());
      hla::cuda::run_maps(launcher, type_.element, call_.sizes, case_.depth, case_.features(), key_map_,
                          case_.activation_runs(), call_.feature_element, key_features_->data());
    }
    schedule_->run(launcher, workspace_->data());
  }
  std::vector<unsigned char> output() const {
    check(cudaDeviceSynchronize(), "kernels");
    return output_->get();
  }
  const Layout& output_layout() const { return output_layout_; }
  int chunks() const { return schedule_->chunks(); }
  bool by_warpgroups() const { return schedule_->by_warpgroups(); }
  bool zones_whole() const {
    for (const auto* device : {&query_, &key_, &value_, &output_, &words_, &workspace_, &query_features_, &key_features_, &key_mask_}) {
      if (*device && !(*device)->zones_whole()) return false;
    }
    return true;
  }

 private:
  std::unique_ptr<Device> tensor(const Layout& layout, const std::vector<float>& dense) {
    std::vector<unsigned char> bytes(static_cast<size_t>(layout.count() * type_.size));
    store_all(type_, layout, dense, bytes.data());
    auto device = std::make_unique<Device>(bytes.size());
    device->put(bytes.data(), bytes.size());
    return device;
  }

  const Case& case_;
  const Type& type_;
  RowTables tables_;
  Layout query_layout_, key_layout_, value_layout_, output_layout_;
  std::unique_ptr<Device> query_, key_, value_, output_, words_, workspace_, query_features_, key_features_, key_mask_, parameters_[4];
  hla::cuda::MapCall query_map_{}, key_map_{};
  CoreCall call_{};
  std::unique_ptr<CoreSchedule> schedule_;
};

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

std::string name_of(const Case& c) {
  std::ostringstream text;
  text << (c.depth > 0 ? "fused" : "core") << " B" << c.batch << " H" << c.heads << " N" << c.queries << " M" << c.keys << " dv"
       << c.width;
  if (c.depth > 0) text << " d" << c.depth;
  text << " ranks";
  for (size_t f = 0; f < c.ranks.size(); ++f) text << (f ? "," : " ") << c.ranks[f] << (c.powers[f] > 1 ? "^" + std::to_string(c.powers[f]) : "");
  return text.str();
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

// Median milliseconds of one call.
template <typename Work>
double milliseconds(const Work& work) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "event");
  check(cudaEventCreate(&end), "event");
  for (int i = 0; i < 3; ++i) work();
  std::vector<float> times;
  for (int i = 0; i < 25; ++i) {
    check(cudaEventRecord(begin), "event");
    work();
    check(cudaEventRecord(end), "event");
    check(cudaEventSynchronize(end), "event");
    float time = 0;
    check(cudaEventElapsedTime(&time, begin, end), "event");
    times.push_back(time);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::nth_element(times.begin(), times.begin() + 12, times.end());
  return times[12];
}

// Bytes a second, read and written.
double copy_bandwidth() {
  const size_t bytes = size_t{2} << 30;
  Device from(bytes), to(bytes);
  const double ms = milliseconds([&] { check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice), "copy"); });
  return 2.0 * static_cast<double>(bytes) / (ms / 1e3);
}

// Lines "softmax NAME N MILLISECONDS" and "product bfloat16 TFLOPS", from sdpa.py.
struct Measured {
  std::map<int64_t, std::pair<double, std::string>> softmax;  // fastest for each N
  double product = 0;                                        // FLOP a second
  std::string json;                                          // of all lines
};
Measured read_rows(const std::string& path) {
  Measured measured;
  std::ifstream in(path);
  std::string kind, name;
  while (in >> kind >> name) {
    if (kind == "product") {
      double tflops = 0;
      in >> tflops;
      measured.product = tflops * 1e12;
      continue;
    }
    int64_t tokens = 0;
    double ms = 0;
    in >> tokens >> ms;
    auto [place, fresh] = measured.softmax.try_emplace(tokens, ms, name);
    if (!fresh && ms < place->second.first) place->second = {ms, name};
    std::ostringstream row;
    row << (measured.json.empty() ? "" : ",") << "\n    {\"kernel\": \"" << name << "\", \"tokens\": " << tokens << ", \"ms\": " << ms << "}";
    measured.json += row.str();
  }
  return measured;
}

// The largest relative error over a few queries; the rest would take hours in float64.
double sampled_error(const Case& c, const Type& type, const Prepared& prepared, const std::vector<unsigned char>& bytes) {
  const Features features = features_of(c);
  double difference = 0, scale = 0;
  for (int64_t sample = 0; sample < 6; ++sample) {
    const int64_t group = sample * 5 % (c.batch * c.heads);
    const int64_t i = sample == 0 ? 0 : sample == 1 ? c.queries - 1 : sample * 7919 % c.queries;
    std::vector<double> expected(static_cast<size_t>(c.width));
    attend_one(c, group, i, features.query.data(), features.key.data(), expected.data());
    for (int64_t v = 0; v < c.width; ++v) {
      const int64_t at = prepared.output_layout().index((group * c.queries + i) * c.width + v);
      const double got = type.load(bytes.data() + at * type.size);
      if (!std::isfinite(got)) return INFINITY;
      difference = std::max(difference, std::fabs(got - expected[static_cast<size_t>(v)]));
      scale = std::max(scale, std::fabs(expected[static_cast<size_t>(v)]));
    }
  }
  return difference / scale;
}

int bench(const std::string& rows, const std::string& report, const std::string& run, bool warpgroups) {
  const Measured measured = read_rows(rows);
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, 0), "device properties");
  const double copy = copy_bandwidth();

  struct Shape {
    const char* kind;
    int64_t tokens, depth;
    std::vector<int64_t> ranks, powers, activations;
    size_t type;
    bool warpgroups = false;
  };
  std::vector<Shape> list;
  for (const int64_t tokens : {8190, 32760, 75600}) {
    list.push_back({"core", tokens, 0, {16, 16}, {1, 1}, {}, 2});
    list.push_back({"core", tokens, 0, {32, 32}, {1, 1}, {}, 2});
    list.push_back({"core", tokens, 0, {8, 3, 1}, {2, 2, 1}, {}, 2});
    list.push_back({"fused", tokens, 128, {16, 16}, {1, 1}, {1, 1}, 2});
    list.push_back({"fused", tokens, 128, {32, 32}, {1, 1}, {1, 1}, 2});
  }
  list.push_back({"core", 32760, 0, {16, 16}, {1, 1}, {}, 1});
  list.push_back({"core", 32760, 0, {32, 32}, {1, 1}, {}, 1});
  list.push_back({"core", 32760, 0, {16, 16}, {1, 1}, {}, 0});

  if (warpgroups) {
    for (const int64_t tokens : {8190, 32760, 75600}) {
      list.push_back({"core", tokens, 0, {16, 16}, {1, 1}, {}, 2, true});
      list.push_back({"core", tokens, 0, {32, 32}, {1, 1}, {}, 2, true});
      list.push_back({"fused", tokens, 128, {16, 16}, {1, 1}, {1, 1}, 2, true});
      list.push_back({"fused", tokens, 128, {32, 32}, {1, 1}, {1, 1}, 2, true});
    }
  }

  std::ostringstream json, table;
  int failures = 0;
  table << "kernel shape                                              type      products by  ms       x softmax  of copy  of product  error\n";
  for (size_t i = 0; i < list.size(); ++i) {
    const Shape& s = list[i];
    const Case c = make_case(1, 12, s.tokens, s.tokens, 128, s.depth, s.ranks, s.powers, s.activations, 7);
    const Type& type = kTypes[s.type];
    Prepared prepared(c, type, false, 0, s.warpgroups);
    if (prepared.by_warpgroups() != s.warpgroups) throw std::runtime_error(name_of(c) + ": other kernels than asked for");
    const char* const by = s.warpgroups ? "warpgroup" : "warp";
    const double ms = milliseconds([&] { prepared.run(); });
    const double error = sampled_error(c, type, prepared, prepared.output());
    if (!(error <= type.tolerance)) ++failures;
    const double size = static_cast<double>(RowTables(hla::MonomialPlan(c.ranks, c.powers)).rows());
    const double tokens = 12.0 * static_cast<double>(s.tokens);
    const double flops = 4 * tokens * size * 129;
    const double columns = static_cast<double>(s.depth > 0 ? s.depth : c.features());
    const double bytes = tokens * static_cast<double>(type.size) * (2 * columns + 2 * 128);
    const auto softmax = measured.softmax.find(s.tokens);
    const double times = s.type == 2 && softmax != measured.softmax.end() ? softmax->second.first / ms : 0;
    const double of_copy = bytes / (ms / 1e3) / copy;
    const double of_product = measured.product > 0 ? flops / (ms / 1e3) / measured.product : 0;
    json << (i ? "," : "") << "\n    {\"kernel\": \"" << s.kind << "\", \"shape\": \"" << name_of(c) << "\", \"type\": \"" << type.name
         << "\", \"products_by\": \"" << by << "\", \"tokens\": " << s.tokens << ", \"products\": " << size << ", \"chunks\": " << prepared.chunks() << ", \"ms\": " << ms
         << ", \"flop\": " << flops << ", \"least_bytes\": " << bytes << ", \"of_copy\": " << of_copy << ", \"of_product\": ";
    if (measured.product > 0) json << of_product; else json << "null";
    json << ", \"times_faster_than_softmax\": ";
    if (times > 0) json << times; else json << "null";
    json << ", \"relative_error_of_6_queries\": " << (std::isfinite(error) ? error : 1e300) << "}";
    char line[256];
    std::snprintf(line, sizeof line, "%-57s %-9s %-9s %8.3f  %9s  %6.1f%%  %9s  %.2g\n", name_of(c).c_str(), type.name, by, ms,
                  times > 0 ? (std::to_string(static_cast<int>(times * 10) / 10.0)).substr(0, 6).c_str() : "-", 100 * of_copy,
                  measured.product > 0 ? (std::to_string(100 * of_product).substr(0, 5) + "%").c_str() : "-", error);
    table << line;
  }

  std::ofstream out(report);
  out << "{\n  \"device\": \"" << device.name << "\",\n  \"compute_capability\": \"" << device.major << "." << device.minor
      << "\",\n  \"multiprocessors\": " << device.multiProcessorCount << ",\n  \"run\": " << run
      << ",\n  \"copy_bytes_per_second\": " << copy << ",\n  \"bfloat16_product_flops\": ";
  if (measured.product > 0) out << measured.product; else out << "null";
  out << ",\n  \"softmax\": [" << measured.json << "\n  ],\n  \"hadamard\": [" << json.str() << "\n  ]\n}\n";
  out.close();
  if (!out) {
    std::fprintf(stderr, "hla_gpu_check: cannot write %s\n", report.c_str());
    return 1;
  }
  std::printf("\n%s, copy %.0f GB/s", device.name, copy / 1e9);
  if (measured.product > 0) std::printf(", bfloat16 product %.0f TFLOP/s", measured.product / 1e12);
  for (const auto& [tokens, best] : measured.softmax) {
    std::printf(", softmax N=%lld %.2f ms (%s)", static_cast<long long>(tokens), best.first, best.second.c_str());
  }
  std::printf("\n%s", table.str().c_str());
  return failures == 0 ? 0 : 1;
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
    const bool without = argc == 6 && std::strcmp(argv[5], "--without-warpgroups") == 0;
    if (what == "--bench" && (argc == 5 || without)) {
      return bench(argv[2], argv[3], argv[4], !without && hla::cuda::has_warpgroups(0));
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hla_gpu_check: %s\n", e.what());
    return 1;
  }
  std::fprintf(stderr, "usage: hla_gpu_check --check [--small] | --check-warpgroups [--small] | --bench ROWS REPORT TEXT [--without-warpgroups]\n");
  return 2;
}
