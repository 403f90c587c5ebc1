// Times the kernel alone, without a runtime, against the multiply-add peak of the same threads in the same run.
//
//   hla_micro_bench [--threads 2] [--tokens 4096] [--heads 12] [--dv 128] [--rounds 9] [--isa NAME]
//                   [--type float|float16|bfloat16] [--pass both|state|output] [--map 128] [--layout BHND|BNHD]
//                   [--clock wall|cpu] [RANKS[^POWERS]...]
//   --map D: features are computed from rows of D numbers with softplus, as the fused operator does; its FLOPs count.
//   --clock cpu: the process's CPU time, for one thread on a machine that others use too.
//   RANKS as 16,16 or 16^2,1; without any, the list that the README's table shows.
//
// Peak and kernel alternate; the share is the best kernel time against the best peak, and the median's share stands beside
// it. Added MB is the growth of resident memory in the first call, its output not counted.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "isa.h"
#include "launcher.h"

namespace {

bool count_cpu_time = false;

// Seconds on the clock chosen; only differences mean something.
double now() {
  timespec time;
  clock_gettime(count_cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Threads that wait for work, as the runtime's do.
class Threads final : public hla::Parallel {
 public:
  explicit Threads(int count) {
    for (int i = 1; i < count; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Threads() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void run(size_t total, void (*task)(void*, size_t), void* data) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      data_ = data;
      total_ = total;
      next_ = 0;
      busy_ = workers_.size();
      ++round_;
    }
    wake_.notify_all();
    drain();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void drain() {
    for (size_t i = next_++; i < total_; i = next_++) task_(data_, i);
  }
  void work() {
    uint64_t seen = 0;
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
      lock.unlock();
      drain();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  void (*task_)(void*, size_t) = nullptr;
  void* data_ = nullptr;
  size_t total_ = 0;
  std::atomic<size_t> next_{0};
  size_t busy_ = 0;
  uint64_t round_ = 0;
  bool stop_ = false;
};

double peak_gflops(const hla::Kernel& kernel, Threads& threads, int count) {
  struct Shared {
    const hla::Kernel& kernel;
    std::atomic<uint64_t> flops{0};
  } shared{kernel, {}};
  const double begin = now();
  threads.run(
      static_cast<size_t>(count),
      [](void* data, size_t) {
        auto& self = *static_cast<Shared*>(data);
        float sink[3] = {0.999f, 0.001f, 0};
        self.flops += static_cast<uint64_t>(self.kernel.peak(3000000, sink));
      },
      &shared);
  return static_cast<double>(shared.flops) / (now() - begin) * 1e-9;
}

// Kilobytes of a line of /proc/self/status; 0 where there is none.
long status_kb(const std::string& name) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::atol(line.c_str() + name.size() + 1);
  }
  return 0;
}

// Makes the peak of resident memory begin anew, where the system can.
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

struct Case {
  std::string text;
  std::vector<int64_t> ranks;
  std::vector<int64_t> powers;
};

Case parse_case(const std::string& text) {
  Case parsed{text, {}, {}};
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string factor = text.substr(at, comma - at);
    const size_t caret = factor.find('^');
    parsed.ranks.push_back(std::stoll(factor));
    parsed.powers.push_back(caret == std::string::npos ? 1 : std::stoll(factor.substr(caret + 1)));
    at = comma + 1;
  }
  return parsed;
}

struct Options {
  int threads = 2;
  int64_t tokens = 4096;
  int64_t heads = 12;
  int64_t dv = 128;
  int64_t map = 0;
  int rounds = 9;
  const char* isa = std::getenv("HLA_ISA");
  hla::Element element = hla::Element::kFloat32;
  std::string pass = "both";
  bool tokens_first = false;
  std::vector<Case> cases;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) {
      options.cases.push_back(parse_case(name));
      continue;
    }
    if (++i == argc) throw std::invalid_argument(name + ": expected a value");
    const std::string value = argv[i];
    if (name == "--threads") options.threads = std::stoi(value);
    else if (name == "--tokens") options.tokens = std::stoll(value);
    else if (name == "--heads") options.heads = std::stoll(value);
    else if (name == "--dv") options.dv = std::stoll(value);
    else if (name == "--map") options.map = std::stoll(value);
    else if (name == "--rounds") options.rounds = std::stoi(value);
    else if (name == "--isa") options.isa = argv[i];
    else if (name == "--layout" && value == "BHND") options.tokens_first = false;
    else if (name == "--layout" && value == "BNHD") options.tokens_first = true;
    else if (name == "--clock" && value == "wall") count_cpu_time = false;
    else if (name == "--clock" && value == "cpu") count_cpu_time = true;
    else if (name == "--pass") options.pass = value;
    else if (name == "--type" && value == "float") options.element = hla::Element::kFloat32;
    else if (name == "--type" && value == "float16") options.element = hla::Element::kFloat16;
    else if (name == "--type" && value == "bfloat16") options.element = hla::Element::kBfloat16;
    else throw std::invalid_argument("unknown option " + name + " " + value);
  }
  if (options.cases.empty()) {
    for (const char* text : {"8,8", "16,16", "32,32", "6,6,7", "64", "256", "16^2", "22^2", "45^2", "11^2,4", "16,16,1",
                             "16^2,1"}) {
      options.cases.push_back(parse_case(text));
    }
  }
  return options;
}

// Small positive numbers in the element's own format.
std::vector<char> random_tensor(hla::Element element, int64_t count, uint32_t seed) {
  std::minstd_rand random(seed);
  std::vector<char> bytes(static_cast<size_t>(count) * (element == hla::Element::kFloat32 ? 4 : 2));
  for (int64_t i = 0; i < count; ++i) {
    const float value = 0.25f + static_cast<float>(random() % 1024) / 1024.0f * 0.25f;
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    uint16_t narrow = static_cast<uint16_t>(bits >> 16);
    if (element == hla::Element::kFloat16) {
      narrow = static_cast<uint16_t>(((bits >> 23) - 112) << 10 | ((bits >> 13) & 0x3ff));
    }
    if (element == hla::Element::kFloat32) {
      std::memcpy(bytes.data() + 4 * i, &value, 4);
    } else {
      std::memcpy(bytes.data() + 2 * i, &narrow, 2);
    }
  }
  return bytes;
}

hla::View dense(const Options& options, std::vector<char>& bytes, int64_t width) {
  const int64_t heads = options.heads;
  const int64_t tokens = options.tokens;
  if (options.tokens_first) return {bytes.data(), heads * tokens * width, width, heads * width};
  return {bytes.data(), heads * tokens * width, tokens * width, width};
}

void bench(const Options& options, const hla::Kernel& kernel, Threads& threads) {
  std::printf("%s (%s), %d threads, N = M = %lld, H = %lld, dv = %lld\n", kernel.name, kernel.description,
              options.threads, static_cast<long long>(options.tokens), static_cast<long long>(options.heads),
              static_cast<long long>(options.dv));
  std::printf("%-10s %6s %10s %10s %8s %8s %8s %9s\n", "ranks", "D", "best ms", "GFLOP/s", "peak", "share", "median",
              "added MB");
  for (const Case& c : options.cases) {
    const hla::MonomialPlan plan(c.ranks, c.powers);
    const int64_t features = plan.features();
    const int64_t r = options.map > 0 ? options.map : features;
    auto weight = random_tensor(options.element, options.heads * r * features, 5);
    auto bias = random_tensor(options.element, options.heads * features, 6);
    const std::vector<hla::ActivationRun> activations{{0, features, hla::Activation::kSoftplus}};
    auto q = random_tensor(options.element, options.heads * options.tokens * r, 1);
    auto k = random_tensor(options.element, options.heads * options.tokens * r, 2);
    auto v = random_tensor(options.element, options.heads * options.tokens * options.dv, 3);
    auto y = random_tensor(options.element, options.heads * options.tokens * options.dv, 4);
    hla::Problem problem{&plan,
                         options.element,
                         1,
                         options.heads,
                         options.tokens,
                         options.tokens,
                         options.dv,
                         dense(options, q, r),
                         dense(options, k, r),
                         dense(options, v, options.dv),
                         dense(options, y, options.dv),
                         1e-6f,
                         {},
                         {},
                         {},
                         nullptr,
                         nullptr};
    if (options.map > 0) problem.query_map = problem.key_map = {weight.data(), bias.data(), options.map, &activations};
    double passes = 2;
    if (options.pass == "state") problem.queries = std::min<int64_t>(1, options.tokens), passes = 1;
    if (options.pass == "output") problem.keys = std::min<int64_t>(1, options.tokens), passes = 1;
    std::vector<double> times;
    double peak = 0;
    reset_peak_memory();
    const long before = status_kb("VmRSS");
    hla::attend(kernel, problem, options.threads, threads);
    const double added = static_cast<double>(status_kb("VmHWM") - before) / 1024;
    for (int round = 0; round < options.rounds; ++round) {
      peak = std::max(peak, peak_gflops(kernel, threads, options.threads));
      const double begin = now();
      hla::attend(kernel, problem, options.threads, threads);
      times.push_back(now() - begin);
    }
    std::sort(times.begin(), times.end());
    const double per_token = static_cast<double>(plan.size() * (options.dv + 1) + options.map * features);
    const double flops = passes * 2.0 * static_cast<double>(options.tokens * options.heads) * per_token;
    const double best = flops / times.front() * 1e-9;
    const double median = flops / times[times.size() / 2] * 1e-9;
    std::printf("%-10s %6lld %10.3f %10.1f %8.1f %7.1f%% %7.1f%% %9.1f\n", c.text.c_str(), static_cast<long long>(plan.size()),
                times.front() * 1e3, best, peak, 100 * best / peak, 100 * median / peak, added);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    const hla::Selection selection = hla::select_kernel(options.isa);
    Threads threads(options.threads);
    bench(options, *selection.kernel, threads);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hla_micro_bench: %s\n", e.what());
    return 2;
  }
}
