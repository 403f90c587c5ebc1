// Times the kernels on this machine's device, for gpu_check.cu. What is measured goes to its files at once, a line each: a
// run that ends early leaves all that came before.
#pragma once

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "prepared.h"

namespace cases {

class Stopwatch {
 public:
  Stopwatch() {
    check(cudaEventCreate(&begin_), "event");
    check(cudaEventCreate(&end_), "event");
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // Milliseconds on the device of what `work` enqueues.
  template <typename Work>
  double time(const Work& work) {
    check(cudaEventRecord(begin_), "event");
    work();
    check(cudaEventRecord(end_), "event");
    check(cudaEventSynchronize(end_), "event");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin_, end_), "event");
    return ms;
  }

 private:
  cudaEvent_t begin_, end_;
};

inline double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

struct Times {
  double alone;      // one call, with what its launches take, which others before it would hide
  double in_stream;  // one of several calls one after another, as in a model
};
template <typename Work>
Times milliseconds(const Work& work) {
  Stopwatch watch;
  for (int i = 0; i < 3; ++i) work();
  std::vector<double> times;
  for (int i = 0; i < 11; ++i) times.push_back(watch.time(work));
  const double alone = median(times);
  const int calls = std::min(20, std::max(1, static_cast<int>(std::ceil(3 / alone))));
  times.clear();
  for (int i = 0; i < 11; ++i) {
    times.push_back(watch.time([&] {
      for (int j = 0; j < calls; ++j) work();
    }) / calls);
  }
  return {alone, median(times)};
}

// Runs kernels as StreamLauncher and keeps what each took, its launch included.
class TimedLauncher final : public hla::cuda::Launcher {
 public:
  void state(hla::Element element, int terms, int64_t blocks, int shared, const hla::cuda::StateArgs& args) override {
    time("state", [&] { launcher_.state(element, terms, blocks, shared, args); });
  }
  void reduce(int terms, int64_t blocks, const hla::cuda::ReduceArgs& args) override {
    time("reduce", [&] { launcher_.reduce(terms, blocks, args); });
  }
  void output(hla::Element element, int terms, int64_t blocks, int shared, const hla::cuda::OutputArgs& args) override {
    time("output", [&] { launcher_.output(element, terms, blocks, shared, args); });
  }
  void zero(hla::Element element, int64_t blocks, const hla::cuda::ZeroArgs& args) override {
    time("zero", [&] { launcher_.zero(element, blocks, args); });
  }
  void maps(hla::Element element, int64_t blocks, int shared, const hla::cuda::MapArgs& args) override {
    time("maps", [&] { launcher_.maps(element, blocks, shared, args); });
  }
  void wgmma_state(int64_t blocks, int shared, const hla::cuda::WgmmaStateArgs& args) override {
    time("state", [&] { launcher_.wgmma_state(blocks, shared, args); });
  }
  void wgmma_reduce(int64_t blocks, const hla::cuda::WgmmaReduceArgs& args) override {
    time("reduce", [&] { launcher_.wgmma_reduce(blocks, args); });
  }
  void wgmma_output(int64_t blocks, int shared, const hla::cuda::WgmmaOutputArgs& args) override {
    time("output", [&] { launcher_.wgmma_output(blocks, shared, args); });
  }
  void wgmma_maps(int64_t blocks, int shared, const hla::cuda::WgmmaMapArgs& args) override {
    time("maps", [&] { launcher_.wgmma_maps(blocks, shared, args); });
  }

  // A field of JSON: the median of each kernel's times; maps are those of the queries and those of the keys.
  std::string json() const {
    std::ostringstream text;
    for (const auto& [name, times] : times_) text << (text.tellp() > 0 ? ", " : "") << '"' << name << "\": " << median(times);
    return "{" + text.str() + "}";
  }

 private:
  template <typename Work>
  void time(const char* name, const Work& work) {
    times_[name].push_back(watch_.time(work));
  }
  StreamLauncher launcher_{nullptr};
  Stopwatch watch_;
  std::map<std::string, std::vector<double>> times_;
};

// Lines "softmax NAME N MILLISECONDS" and "product bfloat16 TFLOPS" from sdpa.py, and "copy device BYTES_PER_SECOND".
struct Measured {
  std::map<int64_t, double> softmax;  // milliseconds of the fastest for each N
  double product = 0;                 // FLOP a second
  double copy = 0;                    // bytes a second, read and written
};
inline Measured read_measured(const std::string& path) {
  Measured measured;
  std::ifstream in(path);
  std::string kind, name;
  while (in >> kind >> name) {
    if (kind == "product") {
      in >> measured.product;
      measured.product *= 1e12;
    } else if (kind == "copy") {
      in >> measured.copy;
    } else {
      int64_t tokens = 0;
      double ms = 0;
      in >> tokens >> ms;
      const auto [place, fresh] = measured.softmax.try_emplace(tokens, ms);
      if (!fresh) place->second = std::min(place->second, ms);
    }
  }
  return measured;
}

// Tells what the device is and adds the rate of its copies to the file at `path`.
inline int ceilings(const std::string& path) {
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, 0), "device properties");
  const size_t bytes = size_t{2} << 30;
  Device from(bytes), to(bytes);
  const double ms = milliseconds([&] { check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice), "copy"); }).in_stream;
  const double copy = 2.0 * static_cast<double>(bytes) / (ms / 1e3);
  std::ofstream out(path, std::ios::app);
  out << "copy device " << copy << "\n" << std::flush;
  if (!out) throw std::runtime_error("cannot write " + path);
  std::printf("\"device\": \"%s\", \"compute_capability\": \"%d.%d\", \"multiprocessors\": %d, \"copy_bytes_per_second\": %g\n",
              device.name, device.major, device.minor, device.multiProcessorCount, copy);
  return 0;
}

struct Shape {
  const char* kind;
  int64_t tokens, depth;
  std::vector<int64_t> ranks, powers, activations;
  size_t type;
};
// `aims`: the shapes that have aims, else all others; of those that the warpgroup kernels take, or of all kernels'.
inline std::vector<Shape> bench_shapes(bool aims, bool warpgroups) {
  std::vector<Shape> list;
  const std::vector<int64_t> all = {32760, 8190, 75600};
  for (const int64_t tokens : all) {
    if ((tokens == all[0]) != aims) continue;
    list.push_back({"core", tokens, 0, {16, 16}, {1, 1}, {}, 2});
    list.push_back({"core", tokens, 0, {32, 32}, {1, 1}, {}, 2});
    list.push_back({"fused", tokens, 128, {16, 16}, {1, 1}, {1, 1}, 2});
    list.push_back({"fused", tokens, 128, {32, 32}, {1, 1}, {1, 1}, 2});
  }
  if (aims || warpgroups) return list;
  for (const int64_t tokens : all) list.push_back({"core", tokens, 0, {8, 3, 1}, {2, 2, 1}, {}, 2});
  list.push_back({"core", all[0], 0, {16, 16}, {1, 1}, {}, 1});
  list.push_back({"core", all[0], 0, {32, 32}, {1, 1}, {}, 1});
  list.push_back({"core", all[0], 0, {16, 16}, {1, 1}, {}, 0});
  return list;
}

// The largest relative error over six queries of three heads; the rest would take hours in float64.
inline double sampled_error(const Case& c, const Type& type, const Layout& layout, const std::vector<unsigned char>& bytes) {
  double difference = 0, scale = 0;
  for (int64_t sample = 0; sample < 6; sample += 2) {
    const int64_t group = sample * 5 % (c.batch * c.heads);
    // The first and the last query of the first head.
    const int64_t queries[2] = {sample * 7919 % c.queries, sample == 0 ? c.queries - 1 : (sample + 1) * 7919 % c.queries};
    const Case one = one_group(c, group, queries);
    const Features features = features_of(one);
    for (int64_t i = 0; i < 2; ++i) {
      std::vector<double> expected(static_cast<size_t>(c.width));
      attend_one(one, 0, i, features.query.data(), features.key.data(), expected.data());
      for (int64_t v = 0; v < c.width; ++v) {
        const double got = type.load(bytes.data() + layout.index((group * c.queries + queries[i]) * c.width + v) * type.size);
        if (!std::isfinite(got)) return INFINITY;
        difference = std::max(difference, std::fabs(got - expected[static_cast<size_t>(v)]));
        scale = std::max(scale, std::fabs(expected[static_cast<size_t>(v)]));
      }
    }
  }
  return difference / scale;
}

inline int bench(bool aims, bool warpgroups, const std::string& measured_path, const std::string& rows_path, const std::string& table_path) {
  const Measured measured = read_measured(measured_path);
  std::ofstream rows(rows_path, std::ios::app), table(table_path, std::ios::app);
  int failures = 0;
  for (const Shape& s : bench_shapes(aims, warpgroups)) {
    const Case c = make_case(1, 12, s.tokens, s.tokens, 128, s.depth, s.ranks, s.powers, s.activations, 7);
    const Type& type = kTypes[s.type];
    Prepared prepared(c, type, false, 0, warpgroups);
    if (prepared.by_warpgroups() != warpgroups) throw std::runtime_error(name_of(c) + ": other kernels than asked for");
    const Times ms = milliseconds([&] { prepared.run(); });
    TimedLauncher each;
    for (int i = 0; i < 7; ++i) prepared.run(each);
    const double error = sampled_error(c, type, prepared.output_layout(), prepared.output());
    const bool right = error <= type.tolerance;
    if (!right) ++failures;

    const double size = static_cast<double>(RowTables(hla::MonomialPlan(c.ranks, c.powers)).rows());
    const double tokens = 12.0 * static_cast<double>(s.tokens);
    const double flops = 4 * tokens * size * 129;
    const double columns = static_cast<double>(s.depth > 0 ? s.depth : c.features());
    const double bytes = tokens * static_cast<double>(type.size) * (2 * columns + 2 * 128);
    const auto softmax = measured.softmax.find(s.tokens);
    const double times = s.type == 2 && softmax != measured.softmax.end() ? softmax->second / ms.in_stream : 0;
    const double of_copy = measured.copy > 0 ? bytes / (ms.in_stream / 1e3) / measured.copy : 0;
    const double of_product = measured.product > 0 ? flops / (ms.in_stream / 1e3) / measured.product : 0;
    const char* const by = warpgroups ? "warpgroup" : "warp";
    const auto known = [](double value) {
      std::ostringstream text;
      text << value;
      return value > 0 ? text.str() : std::string("null");
    };
    rows << "{\"kernel\": \"" << s.kind << "\", \"shape\": \"" << name_of(c) << "\", \"type\": \"" << type.name << "\", \"products_by\": \""
         << by << "\", \"tokens\": " << s.tokens << ", \"products\": " << size << ", \"chunks\": " << prepared.chunks()
         << ", \"ms\": " << ms.in_stream << ", \"ms_alone\": " << ms.alone << ", \"ms_of_kernels\": " << each.json()
         << ", \"flop\": " << flops << ", \"least_bytes\": " << bytes << ", \"of_copy\": " << known(of_copy)
         << ", \"of_product\": " << known(of_product) << ", \"times_faster_than_softmax\": " << known(times)
         << ", \"relative_error_of_6_queries\": " << (std::isfinite(error) ? error : 1e300) << "}\n"
         << std::flush;
    const auto cell = [](double value, double scale, const char* unit) {
      char text[32];
      std::snprintf(text, sizeof text, "%.1f%s", value * scale, unit);
      return value > 0 ? std::string(text) : std::string("-");
    };
    table << name_of(c) << '\t' << type.name << '\t' << by << '\t' << ms.in_stream << '\t' << cell(times, 1, "") << '\t'
          << cell(of_copy, 100, "%") << '\t' << cell(of_product, 100, "%") << '\t' << error << (right ? "" : " WRONG") << '\n'
          << std::flush;
    if (!rows || !table) throw std::runtime_error("cannot write " + rows_path + " and " + table_path);
    std::printf("%s, %s, by %s products: %.4f ms, %s%s\n", name_of(c).c_str(), type.name, by, ms.in_stream, each.json().c_str(),
                right ? "" : ", WRONG");
    std::fflush(stdout);
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace cases
