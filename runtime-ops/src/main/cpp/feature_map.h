// The fused operator's feature maps: z = x W + b and an activation for each factor, for a run of tokens. Part of the
// kernel (see kernel_impl.h); the result goes the way of features that were given.
#pragma once

#include "kernel.h"
#include "vec.h"

namespace hla {
namespace {

// Columns of x that a register tile takes; wider heads take several rounds. Rows of float are read where they lie; those of
// other types, and those of a tile that has too few, are copied to float rows of this length.
constexpr int64_t kMapDepth = 128;

HLA_INLINE int64_t padded_features(int64_t features) { return round_up(features, kLanes); }

// ---- Activations

// e^x to about 1e-7 relative: x = n ln 2 + r, a polynomial for e^r, and 2^n in two factors so that results down to
// subnormals and up to infinity come out right.
HLA_INLINE vf exponential(vf x) {
  x = x > splat(89.0f) ? splat(89.0f) : x;  // NaN passes both comparisons unchanged
  x = x < splat(-104.0f) ? splat(-104.0f) : x;
  const vf magic = splat(0x1.8p23f);
  const vf n = (x * 0x1.715476p0f + magic) - magic;
  vf r = x - n * 0x1.62e400p-1f;
  r = r - n * 0x1.7f7d1cp-20f;
  vf p = splat(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // Of a NaN only the product below matters: its integer is made 0 first, as the conversion would leave it undefined.
  const vi whole = __builtin_convertvector(n == n ? n : vf{}, vi);
  const vi half = whole >> 1;
  return p * (vf)((half + 127) << 23) * (vf)((whole - half + 127) << 23);
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), the latter by the series of 2 artanh(u / (2 + u)), u <= 1.
HLA_INLINE vf softplus(vf x) {
  const vf positive = x > vf{} ? x : vf{};
  const vf u = exponential(x > vf{} ? -x : x);
  const vf s = u / (u + 2.0f);
  const vf q = s * s;
  vf p = splat(1.0f / 15.0f);
  p = p * q + 1.0f / 13.0f;
  p = p * q + 1.0f / 11.0f;
  p = p * q + 1.0f / 9.0f;
  p = p * q + 1.0f / 7.0f;
  p = p * q + 1.0f / 5.0f;
  p = p * q + 1.0f / 3.0f;
  p = p * q + 1.0f;
  return positive + 2.0f * s * p;
}

HLA_INLINE vf activate(vf x, Activation kind) {
  switch (kind) {
    case Activation::kSoftplus: return softplus(x);
    case Activation::kRelu: return x < vf{} ? vf{} : x;
    case Activation::kExp: return exponential(x);
    case Activation::kIdentity: break;
  }
  return x;
}

// On node rows 1 .. R; lanes from `tokens` on become zero, as load_features left them.
void activate_nodes(const FeatureMap& map, float* nodes, int64_t stride, int64_t lanes, int64_t tokens) {
  for (int64_t i = 0; i < map.activation_count; ++i) {
    const ActivationRun run = map.activations[i];
    if (run.kind == Activation::kIdentity) continue;
    for (int64_t f = run.first; f < run.first + run.count; ++f) {
      float* row = nodes + (1 + f) * stride;
      for (int64_t v = 0; v < lanes; v += kLanes) store(row + v, activate(load(row + v), run.kind));
      for (int64_t t = tokens; t < lanes; ++t) row[t] = 0;
    }
  }
}

// ---- The product

// W of a head as [block][d][width] and b as one row, both of floats with zeros beyond R. Blocks are of 2 vectors, the last perhaps 1.
template <typename E>
void pack_map(const FeatureMap& map, int64_t head, int64_t features, float* weight, float* bias) {
  using S = typename E::Storage;
  const int64_t padded = padded_features(features);
  const auto row = [&](const void* from, int64_t index, int64_t column) {
    const S* source = static_cast<const S*>(from) + index * features + column;
    const int64_t present = features - column;
    return present >= kLanes ? load_as<E>(source) : load_part<E>(source, present);
  };
  for (int64_t column = 0; column < padded; column += kLanes) {
    store(bias + column, row(map.bias, head, column));
    const int64_t block = column / (2 * kLanes) * 2 * kLanes;
    const int64_t width = smaller(2 * kLanes, padded - block);
    for (int64_t k = 0; k < map.width; ++k) {
      store(weight + block * map.width + k * width + (column - block), row(map.weight, head * map.width + k, column));
    }
  }
}

// The register tile: kOutputTokens tokens, their rows x_stride floats apart, x kVectors vectors of features over `depth` of
// the head's columns. Begins from `bias` where not null, else from what `target` holds.
template <int kVectors>
void map_tile(const float* __restrict x, int64_t x_stride, const float* __restrict weight, int64_t depth,
              const float* __restrict bias, float* __restrict target, int64_t stride) {
  // One pointer for three rows, as an address may be a pointer with one or two strides; a pointer a row is more than there are.
  constexpr int64_t kBases = (kOutputTokens + 2) / 3;
  const float* rows[kBases];
#pragma GCC unroll 16
  for (int64_t i = 0; i < kBases; ++i) rows[i] = x + 3 * i * x_stride;
  vf acc[kOutputTokens][kVectors];
#pragma GCC unroll 16
  for (int64_t t = 0; t < kOutputTokens; ++t) {
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) acc[t][c] = load((bias != nullptr ? bias : target + t * stride) + c * kLanes);
  }
  for (int64_t k = 0; k < depth; ++k) {
    vf w[kVectors];
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) w[c] = load(weight + (k * kVectors + c) * kLanes);
#pragma GCC unroll 16
    for (int64_t t = 0; t < kOutputTokens; ++t) {
      const vf v = splat(rows[t / 3][t % 3 * x_stride]);
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) acc[t][c] += v * w[c];
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < kBases; ++i) ++rows[i];
  }
#pragma GCC unroll 16
  for (int64_t t = 0; t < kOutputTokens; ++t) {
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) store(target + t * stride + c * kLanes, acc[t][c]);
  }
}

// Floats that map_rows needs: packed weights and biases, rows of x, rows of z.
HLA_INLINE int64_t map_floats(int64_t features, int64_t width, int64_t tokens, int64_t heads) {
  if (width == 0) return 0;
  const int64_t padded = padded_features(features);
  return heads * (width + 1) * padded + kOutputTokens * kMapDepth + round_up(tokens, kOutputTokens) * padded;
}

// Where map_rows keeps its things in scratch memory.
struct MapScratch {
  float* weights;  // packed, of all heads
  float* x;
  float* z;  // [tokens][padded features]
  int64_t weight_floats;
  int64_t head_floats;

  HLA_INLINE MapScratch(float* memory, int64_t features, int64_t width, int64_t heads)
      : weights(memory),
        x(weights + heads * (width + 1) * padded_features(features)),
        z(x + kOutputTokens * kMapDepth),
        weight_floats(width * padded_features(features)),
        head_floats(weight_floats + padded_features(features)) {}

  HLA_INLINE float* weight(int64_t head) const { return weights + head * head_floats; }
  HLA_INLINE float* bias(int64_t head) const { return weight(head) + weight_floats; }
};

// Packs the maps of all heads, where there are any.
template <typename E>
void pack_maps(const FeatureMap& map, int64_t features, int64_t heads, const MapScratch& scratch) {
  if (map.weight == nullptr) return;
  for (int64_t head = 0; head < heads; ++head) pack_map<E>(map, head, features, scratch.weight(head), scratch.bias(head));
}

// z = x W + b for tokens [first, first + tokens) of a head, before activation.
template <typename E>
void map_rows(const ConstRows& rows, int64_t head, int64_t first, int64_t tokens, const FeatureMap& map, int64_t features,
              const MapScratch& scratch) {
  using S = typename E::Storage;
  const int64_t padded = padded_features(features);
  const S* const base = static_cast<const S*>(rows.data) + head * rows.head_stride + first * rows.stride;
  for (int64_t begin = 0; begin < tokens; begin += kOutputTokens) {
    const int64_t count = smaller(kOutputTokens, tokens - begin);
    for (int64_t k = 0; k < map.width; k += kMapDepth) {
      const int64_t depth = smaller(kMapDepth, map.width - k);
      const float* x = scratch.x;
      int64_t x_stride = kMapDepth;
      bool in_place = false;
      if constexpr (sizeof(S) == sizeof(float)) in_place = count == kOutputTokens;
      if (in_place) {
        x = reinterpret_cast<const float*>(base + begin * rows.stride + k);
        x_stride = rows.stride;
      }
      for (int64_t t = 0; !in_place && t < kOutputTokens; ++t) {
        const S* source = base + (begin + t) * rows.stride + k;
        float* target = scratch.x + t * kMapDepth;
        for (int64_t c = 0; c < depth; c += kLanes) {
          store(target + c, t >= count              ? vf{}
                            : depth - c >= kLanes ? load_as<E>(source + c)
                                                    : load_part<E>(source + c, depth - c));
        }
      }
      for (int64_t block = 0; block < padded; block += 2 * kLanes) {
        const int64_t width = smaller(2 * kLanes, padded - block);
        const float* weight = scratch.weight(head) + block * map.width + k * width;
        const auto tile = width == kLanes ? map_tile<1> : map_tile<2>;
        tile(x, x_stride, weight, depth, k == 0 ? scratch.bias(head) + block : nullptr, scratch.z + begin * padded + block,
             padded);
      }
    }
  }
}

}  // namespace
}  // namespace hla
