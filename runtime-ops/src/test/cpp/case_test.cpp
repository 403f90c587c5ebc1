// Runs cases of the core operator through every kernel that this CPU can run, in every element type, cut for several
// numbers of CPUs, in both memory layouts, with features given and mapped, and compares with expected outputs. Meant to be
// built with sanitizers: every tensor is an allocation of its own, so that a read or write beyond an end is seen. Each case
// comes a second time with a masked key before every key and one behind all, which must change nothing.
//
//   hla_case_test [--isa NAME] FILE...
//
// A file is what NativeCasesTest writes, little-endian: int64 batch, heads, queries, keys, value width, number of factors,
// ranks, powers; float64 epsilon; float32 query features, key features, value; float64 expected output.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "isa.h"
#include "launcher.h"

namespace {

using hla::Element;

struct Case {
  int64_t batch, heads, queries, keys, width;
  std::vector<int64_t> ranks, powers;
  double epsilon;
  std::vector<float> query, key, value;
  std::vector<double> expected;
};

template <typename T>
std::vector<T> read(std::ifstream& in, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!in) throw std::runtime_error("the file ends early");
  return values;
}

Case read_case(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open it");
  Case c{};
  const auto sizes = read<int64_t>(in, 6);
  c.batch = sizes[0];
  c.heads = sizes[1];
  c.queries = sizes[2];
  c.keys = sizes[3];
  c.width = sizes[4];
  c.ranks = read<int64_t>(in, sizes[5]);
  c.powers = read<int64_t>(in, sizes[5]);
  c.epsilon = read<double>(in, 1)[0];
  int64_t features = 0;
  for (int64_t rank : c.ranks) features += rank;
  const int64_t heads = c.batch * c.heads;
  c.query = read<float>(in, heads * c.queries * features);
  c.key = read<float>(in, heads * c.keys * features);
  c.value = read<float>(in, heads * c.keys * c.width);
  c.expected = read<double>(in, heads * c.queries * c.width);
  return c;
}

// The cases' numbers are exact in all three types, so truncation converts them.
struct Type {
  const char* name;
  Element element;
  double tolerance;
  size_t size;

  void store(float value, unsigned char* to) const {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (element == Element::kFloat32) {
      std::memcpy(to, &bits, 4);
      return;
    }
    uint16_t narrow = static_cast<uint16_t>(bits >> 16);
    if (element == Element::kFloat16) {
      narrow = static_cast<uint16_t>(bits >> 16 & 0x8000);
      if (value != 0) narrow = static_cast<uint16_t>(narrow | (((bits & 0x7fffffff) - (112u << 23)) >> 13));
    }
    std::memcpy(to, &narrow, 2);
  }

  double load(const unsigned char* from) const {
    if (element == Element::kFloat32) {
      float value;
      std::memcpy(&value, from, 4);
      return value;
    }
    uint16_t narrow;
    std::memcpy(&narrow, from, 2);
    if (element == Element::kBfloat16) {
      const uint32_t bits = static_cast<uint32_t>(narrow) << 16;
      float value;
      std::memcpy(&value, &bits, 4);
      return value;
    }
    const int exponent = narrow >> 10 & 31;
    const int fraction = narrow & 1023;
    const double magnitude = exponent == 31   ? (fraction == 0 ? INFINITY : NAN)
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, exponent - 25);
    return narrow & 0x8000 ? -magnitude : magnitude;
  }
};

constexpr Type kTypes[] = {{"float", Element::kFloat32, 1e-5, 4},
                           {"float16", Element::kFloat16, 2e-3, 2},
                           {"bfloat16", Element::kBfloat16, 1.6e-2, 2}};

// A tensor [batch, head, token, width] held heads first or tokens first, in an allocation of exactly its size.
class Tensor {
 public:
  Tensor(const Type& type, const Case& c, int64_t tokens, int64_t width, bool tokens_first)
      : type_(type), batch_(c.batch), heads_(c.heads), tokens_(tokens), width_(width), tokens_first_(tokens_first) {
    bytes_ = std::make_unique<unsigned char[]>(static_cast<size_t>(batch_ * heads_ * tokens_ * width_) * type.size);
  }

  hla::View view() {
    const int64_t per_batch = heads_ * tokens_ * width_;
    if (tokens_first_) return {bytes_.get(), per_batch, width_, heads_ * width_};
    return {bytes_.get(), per_batch, tokens_ * width_, width_};
  }

  void fill(const std::vector<float>& dense) {
    for (int64_t i = 0; i < static_cast<int64_t>(dense.size()); ++i) type_.store(dense[static_cast<size_t>(i)], at(i));
  }
  // All numbers as they lie in memory, heads first.
  std::string bits() {
    std::string all;
    for (int64_t i = 0; i < batch_ * heads_ * tokens_ * width_; ++i) {
      all.append(reinterpret_cast<const char*>(at(i)), type_.size);
    }
    return all;
  }
  double get(int64_t dense_index) { return type_.load(at(dense_index)); }

 private:
  unsigned char* at(int64_t dense_index) {
    int64_t index = dense_index;
    if (tokens_first_) {
      const int64_t c = index % width_;
      const int64_t t = index / width_ % tokens_;
      const int64_t h = index / width_ / tokens_ % heads_;
      const int64_t b = index / width_ / tokens_ / heads_;
      index = ((b * tokens_ + t) * heads_ + h) * width_ + c;
    }
    return bytes_.get() + static_cast<size_t>(index) * type_.size;
  }

  const Type& type_;
  int64_t batch_, heads_, tokens_, width_;
  bool tokens_first_;
  std::unique_ptr<unsigned char[]> bytes_;
};

// A thread for every other task, so that a thread sanitizer has something to see.
class Threads final : public hla::Parallel {
 public:
  void run(size_t total, void (*task)(void*, size_t), void* data) override {
    std::thread odd([=] {
      for (size_t i = 1; i < total; i += 2) task(data, i);
    });
    for (size_t i = 0; i < total; i += 2) task(data, i);
    odd.join();
  }
};

// The error as the project measures it: largest difference over the largest magnitude expected.
double relative_error(const std::vector<double>& expected, Tensor& actual) {
  double difference = 0;
  double scale = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double got = actual.get(static_cast<int64_t>(i));
    if (!std::isfinite(got)) return INFINITY;
    difference = std::max(difference, std::abs(expected[i] - got));
    scale = std::max(scale, std::abs(expected[i]));
  }
  return difference == 0 ? 0 : scale == 0 ? INFINITY : difference / scale;
}

// Feature maps that change nothing, of exactly their size: the fused operator's way through the kernel.
class IdentityMap {
 public:
  IdentityMap(const Type& type, int64_t heads, int64_t features)
      : width_(features), activations_{{0, features, hla::Activation::kIdentity}} {
    weight_ = std::make_unique<unsigned char[]>(static_cast<size_t>(heads * features * features) * type.size);
    bias_ = std::make_unique<unsigned char[]>(static_cast<size_t>(heads * features) * type.size);
    for (int64_t i = 0; i < heads * features; ++i) {
      type.store(1, weight_.get() + static_cast<size_t>(i * features + i % features) * type.size);
    }
  }

  hla::Map map() const { return {weight_.get(), bias_.get(), width_, &activations_}; }

 private:
  int64_t width_;
  std::vector<hla::ActivationRun> activations_;
  std::unique_ptr<unsigned char[]> weight_;
  std::unique_ptr<unsigned char[]> bias_;
};

// The keys of a case in three calls that carry the state on, one of them without keys; queries come with the last alone.
// The state goes out to where it came from in every second call.
void attend_in_parts(const hla::Kernel& kernel, const hla::Problem& whole, const Type& type, int64_t cpus, Threads& threads) {
  const auto numbers = static_cast<size_t>(whole.batch * whole.heads * whole.plan->size() * (whole.value_width + 1));
  const std::unique_ptr<float[]> states[] = {std::make_unique<float[]>(numbers), std::make_unique<float[]>(numbers)};
  const auto from = [&](const hla::View& view, int64_t token) {
    hla::View part = view;
    part.data = static_cast<char*>(view.data) + static_cast<size_t>(token * view.token_stride) * type.size;
    return part;
  };
  const int64_t cuts[] = {0, whole.keys / 3, whole.keys / 3, whole.keys};
  for (int call = 0; call < 3; ++call) {
    hla::Problem part = whole;
    part.key_features = from(whole.key_features, cuts[call]);
    part.value = from(whole.value, cuts[call]);
    part.keys = cuts[call + 1] - cuts[call];
    part.queries = call == 2 ? whole.queries : 0;
    part.state_in = call == 0 ? nullptr : states[call / 2].get();
    part.state_out = states[(call + 1) / 2].get();
    hla::attend(kernel, part, cpus, threads);
  }
}

// The case with more keys, of ones: those that `mask_of` masks.
Case with_more_keys(const Case& c, int64_t features) {
  Case more = c;
  more.keys = 2 * c.keys + 1;
  const auto spread = [&](const std::vector<float>& rows, int64_t width) {
    std::vector<float> spread_rows(static_cast<size_t>(c.batch * c.heads * more.keys * width), 1.0f);
    for (int64_t i = 0; i < static_cast<int64_t>(rows.size()); ++i) {
      const int64_t row = i / width;
      const int64_t group = c.keys == 0 ? 0 : row / c.keys;
      spread_rows[static_cast<size_t>((row * 2 + 1 + group) * width + i % width)] = rows[static_cast<size_t>(i)];
    }
    return spread_rows;
  };
  more.key = spread(c.key, features);
  more.value = spread(c.value, c.width);
  return more;
}

std::vector<float> mask_of(const Case& more) {
  std::vector<float> mask(static_cast<size_t>(more.keys), 0.0f);
  for (size_t key = 0; key < mask.size(); key += 2) mask[key] = -INFINITY;
  return mask;
}

// Returns the number of failures.
int run(const std::string& path, const std::string& isa) {
  const Case original = read_case(path);
  const hla::MonomialPlan plan(original.ranks, original.powers);
  const Case more = with_more_keys(original, plan.features());
  const std::vector<float> mask = mask_of(more);
  Threads threads;
  int failures = 0;
  for (const hla::Variant& variant : hla::variants()) {
    if (!variant.lacks.empty() || (!isa.empty() && isa != variant.name)) continue;
    for (const Type& type : kTypes) {
      for (const int64_t cpus : {1, 2, 7}) {
        std::string of_heads_first[2][2][2];
        for (const bool tokens_first : {false, true}) {
          for (const bool masked : {false, true}) {
            const Case& c = masked ? more : original;
            if (masked && cpus == 2) continue;  // as with 7, but for the tokens of a task
            // No key that is seen, and epsilon 0: 0 / 0, where without any keys there are zeros.
            if (masked && original.keys == 0 && c.epsilon == 0) continue;
            Tensor query(type, c, c.queries, plan.features(), tokens_first);
            Tensor key(type, c, c.keys, plan.features(), tokens_first);
            Tensor value(type, c, c.keys, c.width, tokens_first);
            Tensor output(type, c, c.queries, c.width, tokens_first);
            query.fill(c.query);
            key.fill(c.key);
            value.fill(c.value);
            const IdentityMap identity(type, c.heads, plan.features());
            hla::Problem problem{&plan,         type.element, c.batch,      c.heads,    c.queries,
                                 c.keys,        c.width,      query.view(), key.view(), value.view(),
                                 output.view(), static_cast<float>(c.epsilon), {}, {}, {}, nullptr, nullptr};
            if (masked) problem.key_mask = {mask.data(), 0, 1, 0.5f};
            for (const bool mapped : {false, true}) {
              if (mapped) problem.query_map = problem.key_map = identity.map();
              for (const bool streamed : {false, true}) {
                if (streamed) {
                  // Without keys it is a state of zeros that is divided by epsilon; a mask is not for calls that carry a state.
                  if (c.keys == 0 || masked) continue;
                  output.fill(std::vector<float>(c.expected.size()));
                  attend_in_parts(*variant.kernel, problem, type, cpus, threads);
                } else {
                  hla::attend(*variant.kernel, problem, cpus, threads);
                }
                // How heads are taken together depends on the layout; the bits must not.
                const std::string bits = output.bits();
                std::string& first_bits = of_heads_first[masked][mapped][streamed];
                if (!tokens_first) first_bits = bits;
                const bool same = bits == first_bits;
                const double error = relative_error(c.expected, output);
                if (error <= type.tolerance && same) continue;
                ++failures;
                if (!same) std::printf("tokens first gives other bits than heads first: ");
                std::printf("%s: %s %s, cut for %d CPUs, %s first%s%s%s: relative error %g\n", path.c_str(), variant.name,
                            type.name, static_cast<int>(cpus), tokens_first ? "tokens" : "heads",
                            mapped ? ", features mapped" : "", streamed ? ", in parts" : "", masked ? ", keys masked" : "", error);
              }
            }
          }
        }
      }
    }
  }
  return failures;
}

}  // namespace

int main(int argc, char** argv) {
  std::string isa;
  int cases = 0;
  int failures = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--isa") == 0 && i + 1 < argc) {
      isa = argv[++i];
      continue;
    }
    try {
      failures += run(argv[i], isa);
      ++cases;
    } catch (const std::exception& e) {
      std::printf("%s: %s\n", argv[i], e.what());
      ++failures;
    }
  }
  std::printf("%d cases, %d failures\n", cases, failures);
  return failures == 0 && cases > 0 ? 0 : 1;
}
