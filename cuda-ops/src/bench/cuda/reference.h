// The operator in float64 straight from its definition, for machines without Java; the same as dev.hla.testdata's.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "cases.h"

namespace cases {

inline std::vector<double> map_features(const Case& c, int64_t tokens, const std::vector<float>& x,
                                        const std::vector<float>& weight, const std::vector<float>& bias) {
  const int64_t width = c.features();
  std::vector<double> all(static_cast<size_t>(c.batch * c.heads * tokens * width));
  for (int64_t row = 0; row < c.batch * c.heads * tokens; ++row) {
    const int64_t head = row / tokens % c.heads;
    int64_t column = 0;
    for (size_t f = 0; f < c.ranks.size(); ++f) {
      for (const int64_t end = column + c.ranks[f]; column < end; ++column) {
        double z = bias[static_cast<size_t>(head * width + column)];
        for (int64_t i = 0; i < c.depth; ++i) {
          z += static_cast<double>(x[static_cast<size_t>(row * c.depth + i)]) *
               weight[static_cast<size_t>((head * c.depth + i) * width + column)];
        }
        switch (static_cast<hla::Activation>(c.activations[f])) {
          case hla::Activation::kSoftplus: z = std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z))); break;
          case hla::Activation::kRelu: z = std::max(z, 0.0); break;
          case hla::Activation::kExp: z = std::exp(z); break;
          default: break;
        }
        all[static_cast<size_t>(row * width + column)] = z;
      }
    }
  }
  return all;
}

// Output of query `i` of one group, from features.
inline void attend_one(const Case& c, int64_t group, int64_t i, const double* query, const double* key, double* output) {
  const int64_t width = c.features();
  std::vector<double> numerator(static_cast<size_t>(c.width));
  double denominator = c.epsilon;
  for (int64_t j = 0; j < c.keys; ++j) {
    double weight = 1;
    if (c.mask_rows > 0) {
      weight = std::exp(static_cast<double>(c.key_mask[static_cast<size_t>((c.mask_rows == 1 ? 0 : group / c.heads) * c.keys + j)]));
    }
    int64_t column = 0;
    for (size_t f = 0; f < c.ranks.size(); ++f) {
      double dot = 0;
      for (const int64_t end = column + c.ranks[f]; column < end; ++column) {
        dot += query[(group * c.queries + i) * width + column] * key[(group * c.keys + j) * width + column];
      }
      for (int64_t p = 0; p < c.powers[f]; ++p) weight *= dot;
    }
    denominator += weight;
    const float* const value = c.value.data() + (group * c.keys + j) * c.width;
    for (int64_t v = 0; v < c.width; ++v) numerator[static_cast<size_t>(v)] += weight * static_cast<double>(value[v]);
  }
  for (int64_t v = 0; v < c.width; ++v) output[v] = c.keys == 0 ? 0 : numerator[static_cast<size_t>(v)] / denominator;
}

// Random inputs that are exact in every type; features of odd powers are positive, so that denominators keep their sign.
inline Case make_case(int64_t batch, int64_t heads, int64_t queries, int64_t keys, int64_t width, int64_t depth,
                      std::vector<int64_t> ranks, std::vector<int64_t> powers, std::vector<int64_t> activations, uint32_t seed, int64_t mask_rows = 0) {
  Case c{};
  c.batch = batch;
  c.heads = heads;
  c.queries = queries;
  c.keys = keys;
  c.width = width;
  c.depth = depth;
  c.ranks = std::move(ranks);
  c.powers = std::move(powers);
  c.activations = activations.empty() ? std::vector<int64_t>(c.ranks.size(), 0) : std::move(activations);
  c.epsilon = 1e-6f;
  std::minstd_rand random(seed);
  const auto numbers = [&](int64_t count, int bound) {
    std::vector<float> all(static_cast<size_t>(count));
    for (float& x : all) x = static_cast<float>(static_cast<int>(random() % static_cast<unsigned>(2 * bound + 1)) - bound) / 128.0f;
    return all;
  };
  const int64_t groups = batch * heads;
  if (depth > 0) {
    const int bound = std::max(8, static_cast<int>(256 / std::sqrt(static_cast<double>(depth))));
    c.query = numbers(groups * queries * depth, 128);
    c.key = numbers(groups * keys * depth, 128);
    c.query_weight = numbers(heads * depth * c.features(), bound);
    c.query_bias = numbers(heads * c.features(), 64);
    c.key_weight = numbers(heads * depth * c.features(), bound);
    c.key_bias = numbers(heads * c.features(), 64);
    c.mask_rows = mask_rows;
    c.key_mask = numbers(mask_rows * keys, 256);
    for (size_t i = 0; i < c.key_mask.size(); i += 3) c.key_mask[i] = -INFINITY;
  } else {
    const auto features = [&](int64_t tokens) {
      std::vector<float> all = numbers(groups * tokens * c.features(), 128);
      std::vector<bool> is_signed;
      for (size_t f = 0; f < c.ranks.size(); ++f) is_signed.insert(is_signed.end(), static_cast<size_t>(c.ranks[f]), c.powers[f] % 2 == 0);
      for (size_t i = 0; i < all.size(); ++i) {
        if (!is_signed[i % is_signed.size()]) all[i] = std::max(std::fabs(all[i]), 1 / 128.0f);
      }
      return all;
    };
    c.query = features(queries);
    c.key = features(keys);
  }
  c.value = numbers(groups * keys * width, 128);
  return c;
}

struct Features {
  std::vector<double> query, key;
};
inline Features features_of(const Case& c) {
  if (c.depth == 0) return {{c.query.begin(), c.query.end()}, {c.key.begin(), c.key.end()}};
  return {map_features(c, c.queries, c.query, c.query_weight, c.query_bias),
          map_features(c, c.keys, c.key, c.key_weight, c.key_bias)};
}

// The case of two of one group's queries.
inline Case one_group(const Case& c, int64_t group, const int64_t (&queries)[2]) {
  Case one{};
  one.batch = one.heads = 1;
  one.queries = 2;
  one.keys = c.keys;
  one.width = c.width;
  one.depth = c.depth;
  one.ranks = c.ranks;
  one.powers = c.powers;
  one.activations = c.activations;
  one.epsilon = c.epsilon;
  const int64_t head = group % c.heads;
  const auto part = [](const std::vector<float>& all, int64_t index, int64_t size) {
    return std::vector<float>(all.begin() + index * size, all.begin() + (index + 1) * size);
  };
  const int64_t columns = c.depth > 0 ? c.depth : c.features();
  one.query = part(c.query, group * c.queries + queries[0], columns);
  const std::vector<float> second = part(c.query, group * c.queries + queries[1], columns);
  one.query.insert(one.query.end(), second.begin(), second.end());
  one.key = part(c.key, group, c.keys * columns);
  one.value = part(c.value, group, c.keys * c.width);
  if (c.depth > 0) {
    one.query_weight = part(c.query_weight, head, c.depth * c.features());
    one.query_bias = part(c.query_bias, head, c.features());
    one.key_weight = part(c.key_weight, head, c.depth * c.features());
    one.key_bias = part(c.key_bias, head, c.features());
    if (c.mask_rows > 0) one.key_mask = part(c.key_mask, c.mask_rows == 1 ? 0 : group / c.heads, c.keys);
    one.mask_rows = c.mask_rows > 0 ? 1 : 0;
  }
  return one;
}

inline void expect_all(Case& c) {
  const Features features = features_of(c);
  c.expected.resize(static_cast<size_t>(c.batch * c.heads * c.queries * c.width));
  for (int64_t group = 0; group < c.batch * c.heads; ++group) {
    for (int64_t i = 0; i < c.queries; ++i) {
      attend_one(c, group, i, features.query.data(), features.key.data(),
                 c.expected.data() + (group * c.queries + i) * c.width);
    }
  }
}

}  // namespace cases
