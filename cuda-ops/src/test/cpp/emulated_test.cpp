// Runs cases through the kernels in the emulation: every type, both layouts, tensors that begin at an odd element, several
// cuts of the keys and several orders of threads, which must all give the same bits. Every tensor is a guarded allocation.
//
//   hla_emulated_test [--quick] FILE...
//   hla_emulated_test --warpgroups [--small]
//
// --quick takes one cut, one layout and two orders of threads. --warpgroups checks the emulation's warpgroup products and
// runs the kernels that are made of them over cases of its own, with one term whatever the number of keys; --small leaves
// the larger ones out.
#include <memory>

#include "cases.h"
#include "emulated_launcher.h"
#include "guarded.h"
#include "reference.h"
#include "sizes.h"
#include "wgmma_test.h"

namespace {

using namespace cases;
using hla::cuda::CoreCall;
using hla::cuda::CoreSchedule;
using hla::cuda::RowTables;
using hla::cuda::Rows;
using hla::cuda::Sizes;

struct Setting {
  const Type& type;
  bool tokens_first;
  bool odd;               // tensors begin one element behind an aligned address
  int multiprocessors;
  int terms;              // 0: the schedule's choice
  bool warpgroups;        // as on a device that has them
};

// A tensor that begins at an aligned address or one element behind it, and ends where its memory ends.
class Tensor {
 public:
  Tensor(const Setting& s, const Layout& layout) : type_(s.type), layout_(layout), skip_(s.odd ? s.type.size : 0),
        memory_(layout.count() * s.type.size + skip_, 16) {
    std::memset(memory_.data(), 0xff, memory_.size());
  }
  Tensor(const Setting& s, const Layout& layout, const std::vector<float>& dense) : Tensor(s, layout) {
    store_all(type_, layout_, dense, data());
  }
  unsigned char* data() { return memory_.data() + skip_; }
  Rows rows() { return layout_.rows(data()); }
  const Layout& layout() const { return layout_; }

 private:
  const Type& type_;
  Layout layout_;
  int64_t skip_;
  Guarded memory_;
};

template <typename T>
std::unique_ptr<Guarded> copy_of(const std::vector<T>& values) {
  auto memory = std::make_unique<Guarded>(static_cast<int64_t>(values.size() * sizeof(T)), 16);
  if (!values.empty()) std::memcpy(memory->data(), values.data(), memory->size());
  return memory;
}

// The output's bytes in the layout of the setting.
std::vector<unsigned char> attend(const Case& c, const RowTables& tables, const Setting& s, uint64_t seed,
                                  bool* by_warpgroups = nullptr) {
  EmulatedLauncher launcher(seed);
  const int64_t columns = c.depth > 0 ? c.depth : c.features();
  Tensor query(s, {c.batch, c.heads, c.queries, columns, s.tokens_first}, c.query);
  Tensor key(s, {c.batch, c.heads, c.keys, columns, s.tokens_first}, c.key);
  Tensor value(s, {c.batch, c.heads, c.keys, c.width, s.tokens_first}, c.value);
  Tensor output(s, {c.batch, c.heads, c.queries, c.width, s.tokens_first});
  const auto words = copy_of(tables.words());
  const Sizes sizes{c.batch, c.heads, c.queries, c.keys, c.width};
  CoreCall call{sizes,       s.type.element, s.type.element,  query.rows(),
                key.rows(),  value.rows(),   output.rows(),   static_cast<float>(c.epsilon)};

  const int terms = s.terms > 0 ? s.terms : hla::cuda::terms_of(s.type.element, c.keys);
  std::unique_ptr<Guarded> query_features, key_features;
  if (c.depth > 0) {
    const auto parameters = [&](int64_t rows, const std::vector<float>& values) {
      return std::make_unique<Tensor>(s, Layout{1, c.heads, rows, c.features(), false}, values);
    };
    const auto query_weight = parameters(c.depth, c.query_weight);
    const auto query_bias = parameters(1, c.query_bias);
    const auto key_weight = parameters(c.depth, c.key_weight);
    const auto key_bias = parameters(1, c.key_bias);
    call.feature_element = hla::cuda::mapped_element(tables, call, terms, s.warpgroups);
    const auto key_mask = copy_of(c.key_mask);
    const auto map = [&](Tensor& x, int64_t tokens, Tensor& weight, Tensor& bias, const hla::KeyMask& mask,
                         std::unique_ptr<Guarded>& features) {
      features = std::make_unique<Guarded>(c.batch * c.heads * tokens * c.features() * hla::cuda::bytes_of(call.feature_element), 16);
      std::memset(features->data(), 0xff, features->size());
      run_maps(launcher, s.type.element, sizes, c.depth, c.features(), {x.rows(), tokens, weight.data(), bias.data(), mask},
               c.activation_runs(), call.feature_element, features->data(), s.multiprocessors);
      return hla::cuda::map_rows(features->data(), c.heads, tokens, c.features());
    };
    call.query_features = map(query, c.queries, *query_weight, *query_bias, {}, query_features);
    call.key_features = map(key, c.keys, *key_weight, *key_bias, c.mask_in(key_mask->data()), key_features);
  }

  const CoreSchedule schedule(tables, reinterpret_cast<const int32_t*>(words->data()), call, s.multiprocessors, terms,
                              s.warpgroups);
  if (by_warpgroups != nullptr) *by_warpgroups = schedule.by_warpgroups();
  Guarded workspace(static_cast<int64_t>(schedule.workspace_bytes()), 256);
  std::memset(workspace.data(), 0xff, workspace.size());
  schedule.run(launcher, workspace.data());
  return {output.data(), output.data() + output.layout().count() * s.type.size};
}

double error_of(const Case& c, const Setting& s, const std::vector<unsigned char>& bytes) {
  return relative_error(c.expected, s.type, {c.batch, c.heads, c.queries, c.width, s.tokens_first}, bytes.data());
}

std::string describe(const Setting& s) {
  return std::string(s.type.name) + (s.tokens_first ? ", tokens first" : ", heads first") + (s.odd ? ", odd address" : "") +
         ", " + std::to_string(s.multiprocessors) + " multiprocessors" +
         (s.terms > 0 ? ", " + std::to_string(s.terms) + " terms" : std::string()) + (s.warpgroups ? ", warpgroups" : "");
}

// Returns the number of failures, and keeps the largest error of each type.
int run(const std::string& path, bool quick, double (&largest)[3]) {
  const Case c = read_case(path);
  const RowTables tables(hla::MonomialPlan(c.ranks, c.powers));
  int failures = 0;
  const auto fail = [&](const Setting& s, const std::string& what) {
    ++failures;
    std::printf("%s: %s: %s\n", path.c_str(), describe(s).c_str(), what.c_str());
    std::fflush(stdout);
  };
  // gpu-check has a reference of its own, for machines without Java: it must be the one that wrote the file.
  if (c.queries * c.keys <= 20000) {
    Case again = c;
    expect_all(again);
    for (size_t i = 0; i < c.expected.size(); ++i) {
      if (std::fabs(again.expected[i] - c.expected[i]) <= 1e-9 * std::fmax(1, std::fabs(c.expected[i]))) continue;
      ++failures;
      std::printf("%s: output %zu of the two references: %g and %g\n", path.c_str(), i, c.expected[i], again.expected[i]);
      break;
    }
  }
  for (size_t t = 0; t < 3; ++t) {
    const Type& type = kTypes[t];
    std::vector<Setting> settings{{type, false, false, 1, 0, false}};
    if (!quick) {
      settings.push_back({type, true, true, 40, 0, false});
      // Both precisions of bfloat16, whatever the schedule takes; the tolerance is promised for its choice only.
      if (type.element == Element::kBfloat16 && c.keys >= hla::cuda::kKeysForOneTerm) settings.push_back({type, false, false, 4, 2, false});
    }
    for (const Setting& s : settings) {
      const std::vector<unsigned char> first = attend(c, tables, s, 0);
      const double error = error_of(c, s, first);
      if (error > largest[t]) largest[t] = error;
      if (!(error <= type.tolerance)) fail(s, "relative error " + std::to_string(error));
      if (attend(c, tables, s, 1) != first) fail(s, "another order of threads gives other bits");
    }
  }
  return failures;
}

// Both ranks' steps, states that fill half a block or lie in shared memory as a whole or in turns, widths with columns of
// padding, tails of every tile, parts that end within one.
int run_warpgroups(bool small, bool to_first_failure) {
  struct Shape {
    int64_t batch, heads, queries, keys, width;
    std::vector<int64_t> ranks;
    int64_t depth = 0;
    std::vector<int64_t> activations = {1, 1};
    int64_t mask_rows = 0;
  };
  const std::vector<Shape> fitting = {
      {1, 1, 1, 1, 8, {8, 16}},         {2, 2, 65, 63, 24, {8, 16}},     {1, 1, 257, 65, 64, {16, 16}},
      {1, 2, 300, 200, 128, {16, 16}},  {1, 1, 70, 129, 120, {8, 32}},   {1, 1, 600, 700, 72, {24, 16}},
      {1, 1, 300, 600, 128, {32, 32}},  {1, 1, 40, 90, 64, {32, 32}},    {1, 2, 520, 321, 128, {16, 32}},
      {1, 1, 1030, 515, 128, {16, 16}}, {1, 1, 513, 130, 40, {48, 16}},
      {1, 2, 270, 600, 64, {16, 16}, 40}, {1, 1, 90, 70, 128, {8, 32}, 128},
      {2, 1, 1300, 40, 8, {8, 16}, 32, {3, 1}},   {1, 2, 30, 290, 64, {32, 32}, 96, {2, 3}},
      {2, 2, 70, 90, 64, {16, 16}, 32, {1, 1}, 2},
  };
  const Type& bfloat16 = kTypes[2];
  int runs = 0, failures = 0;
  double largest = 0;
  for (const Shape& shape : fitting) {
    if (small && shape.queries * shape.ranks[0] * shape.ranks[1] > 100'000) continue;
    Case c = make_case(shape.batch, shape.heads, shape.queries, shape.keys, shape.width, shape.depth, shape.ranks, {1, 1},
                       shape.activations, 5, shape.mask_rows);
    expect_all(c);
    const RowTables tables(hla::MonomialPlan(c.ranks, c.powers));
    for (const Setting& s : {Setting{bfloat16, false, false, 1, 1, true}, Setting{bfloat16, true, false, 7, 1, true}}) {
      if (to_first_failure && failures > 0) return failures;
      ++runs;
      bool taken = false;
      const std::vector<unsigned char> first = attend(c, tables, s, 0, &taken);
      const double error = error_of(c, s, first);
      largest = std::max(largest, error);
      const char* const wrong = !taken                              ? "other kernels ran"
                                : !(error <= bfloat16.tolerance)    ? "beyond the tolerance"
                                : attend(c, tables, s, 1) != first  ? "another order gives other bits"
                                                                    : nullptr;
      if (wrong == nullptr) continue;
      ++failures;
      std::printf("ranks %d,%d, %d queries, %d keys, %d columns: %s: %s, relative error %g\n", static_cast<int>(shape.ranks[0]),
                  static_cast<int>(shape.ranks[1]), static_cast<int>(shape.queries), static_cast<int>(shape.keys),
                  static_cast<int>(shape.width), describe(s).c_str(), wrong, error);
    }
  }
  // Each is off in one thing.
  const auto not_taken = [&](const char* what, int64_t width, std::vector<int64_t> ranks, std::vector<int64_t> powers, int terms, bool odd,
                             const Type& type) {
    const Case c = make_case(1, 1, 9, 9, width, 0, std::move(ranks), std::move(powers), {}, 5);
    bool taken = false;
    attend(c, RowTables(hla::MonomialPlan(c.ranks, c.powers)), {type, false, odd, 1, terms, true}, 0, &taken);
    ++runs;
    if (!taken) return;
    ++failures;
    std::printf("%s: the warpgroup kernels ran\n", what);
  };
  not_taken("20 columns", 20, {16, 16}, {1, 1}, 1, false, bfloat16);
  not_taken("136 columns", 136, {16, 16}, {1, 1}, 1, false, bfloat16);
  not_taken("a first rank of 12", 64, {12, 16}, {1, 1}, 1, false, bfloat16);
  not_taken("a second rank of 24", 64, {16, 24}, {1, 1}, 1, false, bfloat16);
  not_taken("a square", 64, {16, 16}, {2, 1}, 1, false, bfloat16);
  not_taken("three factors", 64, {8, 8, 16}, {1, 1, 1}, 1, false, bfloat16);
  not_taken("two terms", 64, {16, 16}, {1, 1}, 2, false, bfloat16);
  not_taken("an odd address", 64, {16, 16}, {1, 1}, 1, true, bfloat16);
  not_taken("float16", 64, {16, 16}, {1, 1}, 2, false, kTypes[1]);
  std::printf("%d runs by warpgroups, %d failures; largest relative error: bfloat16 %.2g\n", runs, failures, largest);
  return failures;
}

}  // namespace

// Arguments are files of cases, or --warpgroups for the cases of those kernels that are made here.
//   --quick   one setting for each type of a file's case
//   --small   those of the warpgroup kernels' cases that take little time
//   --first   stop at the first case that fails, as is enough to find a mutation
int main(int argc, char** argv) {
  bool quick = false, small = false, first = false, warpgroups = false;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--quick") quick = true;
    else if (argument == "--small") small = true;
    else if (argument == "--first") first = true;
    else if (argument == "--warpgroups") warpgroups = true;
    else files.push_back(argument);
  }
  if (warpgroups) {
    const int wrong = test_wgmma();
    return wrong > 0 && first ? 1 : wrong + run_warpgroups(small, first) == 0 ? 0 : 1;
  }
  int failures = 0;
  double largest[3] = {};
  for (const std::string& file : files) {
    try {
      failures += run(file, quick, largest);
    } catch (const std::exception& e) {
      std::printf("%s: %s\n", file.c_str(), e.what());
      ++failures;
    }
    if (first && failures > 0) return 1;
  }
  std::printf("%d cases, %d failures; largest relative errors: float %.2g, float16 %.2g, bfloat16 %.2g\n", static_cast<int>(files.size()),
              failures, largest[0], largest[1], largest[2]);
  return failures == 0 && !files.empty() ? 0 : 1;
}
