// Cases of the operators, as a file or made up, and tensors of the three types in both layouts.
//
// A file is what EmulatedKernelsTest writes, little-endian: int64 batch, heads, queries, keys, value width, depth, rows of the
// mask, number of factors, ranks, powers, activations (numbers of hla::Activation); float64 epsilon; float32 inputs; float64
// expected output. With depth 0 the inputs are the core operator's (query features, key features, value), else the fused one's
// (query, key, value, query weight, query bias, key weight, key bias, key mask), query and key with `depth` columns. The mask
// has a row for each batch entry, or one, or none.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel_args.h"

namespace cases {

using hla::Element;

struct Case {
  int64_t batch, heads, queries, keys, width, depth, mask_rows;
  std::vector<int64_t> ranks, powers, activations;
  double epsilon;
  std::vector<float> query, key, value, query_weight, query_bias, key_weight, key_bias, key_mask;
  std::vector<double> expected;

  int64_t features() const {
    int64_t sum = 0;
    for (int64_t rank : ranks) sum += rank;
    return sum;
  }
  // How often a key's features stand in a weight.
  int64_t degree() const {
    int64_t sum = 0;
    for (int64_t power : powers) sum += power;
    return sum;
  }
  // The mask, its numbers in memory where the kernel reads it.
  hla::KeyMask mask_in(const void* memory) const {
    if (mask_rows == 0) return {};
    return {static_cast<const float*>(memory), mask_rows == 1 ? 0 : keys, 1, 1.0f / static_cast<float>(degree())};
  }
  hla::cuda::Activations activation_runs() const {
    hla::cuda::Activations runs{static_cast<int32_t>(ranks.size()), {}, {}};
    int64_t end = 0;
    for (size_t f = 0; f < ranks.size(); ++f) {
      end += ranks[f];
      runs.ends[f] = static_cast<int32_t>(end);
      runs.kinds[f] = static_cast<hla::Activation>(activations[f]);
    }
    return runs;
  }
};

template <typename T>
std::vector<T> read(std::ifstream& in, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!in) throw std::runtime_error("the file ends early");
  return values;
}

inline Case read_case(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open it");
  Case c{};
  const auto sizes = read<int64_t>(in, 8);
  c.batch = sizes[0];
  c.heads = sizes[1];
  c.queries = sizes[2];
  c.keys = sizes[3];
  c.width = sizes[4];
  c.depth = sizes[5];
  c.mask_rows = sizes[6];
  c.ranks = read<int64_t>(in, sizes[7]);
  c.powers = read<int64_t>(in, sizes[7]);
  c.activations = read<int64_t>(in, sizes[7]);
  c.epsilon = read<double>(in, 1)[0];
  const int64_t groups = c.batch * c.heads;
  const int64_t columns = c.depth > 0 ? c.depth : c.features();
  c.query = read<float>(in, groups * c.queries * columns);
  c.key = read<float>(in, groups * c.keys * columns);
  c.value = read<float>(in, groups * c.keys * c.width);
  if (c.depth > 0) {
    c.query_weight = read<float>(in, c.heads * c.depth * c.features());
    c.query_bias = read<float>(in, c.heads * c.features());
    c.key_weight = read<float>(in, c.heads * c.depth * c.features());
    c.key_bias = read<float>(in, c.heads * c.features());
    c.key_mask = read<float>(in, c.mask_rows * c.keys);
  }
  c.expected = read<double>(in, groups * c.queries * c.width);
  return c;
}

struct Type {
  const char* name;
  Element element;
  double tolerance;
  int64_t size;

  // Rounds to nearest, ties to even; numbers of normal size.
  void store(float value, unsigned char* to) const {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (element == Element::kFloat32) {
      std::memcpy(to, &bits, 4);
      return;
    }
    uint16_t narrow;
    if (element == Element::kBfloat16) {
      narrow = static_cast<uint16_t>(std::isnan(value) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    } else {
      const uint32_t sign = bits >> 16 & 0x8000;
      const uint32_t magnitude = bits & 0x7fffffff;
      const uint32_t exact = magnitude - (112u << 23);
      narrow = static_cast<uint16_t>(std::isnan(value)             ? 0x7e00
                                     : std::isinf(value)           ? sign | 0x7c00
                                     : std::fabs(value) < 0x1p-14f ? sign | static_cast<uint32_t>(std::rint(std::fabs(value) * 0x1p24f))
                                                                   : sign | (exact + 0xfff + (exact >> 13 & 1)) >> 13);
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
    const double magnitude = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, exponent - 25);
    return narrow & 0x8000 ? -magnitude : magnitude;
  }
};

constexpr Type kTypes[] = {{"float", Element::kFloat32, 1e-5, 4},
                           {"float16", Element::kFloat16, 2e-3, 2},
                           {"bfloat16", Element::kBfloat16, 1.6e-2, 2}};

// Where the numbers of a dense [batch, head, token, column] tensor lie, heads first or tokens first.
struct Layout {
  int64_t batch, heads, tokens, columns;
  bool tokens_first;

  int64_t count() const { return batch * heads * tokens * columns; }
  hla::cuda::Rows rows(const void* data) const {
    const int64_t per_batch = heads * tokens * columns;
    if (tokens_first) return {data, per_batch, columns, heads * columns};
    return {data, per_batch, tokens * columns, columns};
  }
  int64_t index(int64_t dense) const {
    if (!tokens_first) return dense;
    const int64_t c = dense % columns;
    const int64_t t = dense / columns % tokens;
    const int64_t h = dense / columns / tokens % heads;
    const int64_t b = dense / columns / tokens / heads;
    return ((b * tokens + t) * heads + h) * columns + c;
  }
};

inline void store_all(const Type& type, const Layout& layout, const std::vector<float>& dense, unsigned char* to) {
  for (size_t i = 0; i < dense.size(); ++i) {
    type.store(dense[i], to + layout.index(static_cast<int64_t>(i)) * type.size);
  }
}

// The error as the project measures it: largest difference over the largest magnitude expected.
inline double relative_error(const std::vector<double>& expected, const Type& type, const Layout& layout,
                             const unsigned char* actual) {
  double difference = 0;
  double scale = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double got = type.load(actual + layout.index(static_cast<int64_t>(i)) * type.size);
    if (!std::isfinite(got)) return INFINITY;
    difference = std::fmax(difference, std::fabs(expected[i] - got));
    scale = std::fmax(scale, std::fabs(expected[i]));
  }
  return difference == 0 ? 0 : scale == 0 ? INFINITY : difference / scale;
}

}  // namespace cases
