// Feature maps of the fused operator: z = x W + b for one head, then each factor's activation and the mask; 128 tokens by 64
// features a block. x and W have as many terms as their type needs to be exact, so bfloat16 costs one product and loses nothing.
//
// The features go to device memory, N x R float32 numbers, and are read by the passes like given ones: a pass over the
// maps inside the state pass would repeat them for every 128 rows of the state. For the warpgroup passes they are rounded
// to bfloat16, half the bytes.
//
// ptxas for sm_90: 138 registers for bfloat16, 128 for float16, 138 for float, no spills (135, 122 and 136 without the mask).
#pragma once

#include "numbers.h"

namespace hla::cuda {

template <typename T>
struct MapShape {
  static constexpr int kXWords = T::kTerms * kMapTokens * kMapXPitch;  // 16-bit words: 10240 bytes a term
  static constexpr int kWWords = T::kTerms * kMapDepth * kMapWPitch;   // 4608 bytes a term
  static constexpr int kSharedBytes = (kXWords + kWWords) * 2;
};

HLA_DEVICE Activation activation_of(const Activations& all, int feature) {
  Activation kind = all.kinds[0];
#pragma unroll
  for (int i = 1; i < 8; ++i) {
    if (i < all.count && feature >= all.ends[i - 1]) kind = all.kinds[i];
  }
  return kind;
}

HLA_DEVICE float activate(float z, Activation activation) {
  switch (activation) {
    case Activation::kSoftplus: return (z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z)));
    case Activation::kRelu: return z < 0.0f ? 0.0f : z;  // keeps NaN
    case Activation::kExp: return expf(z);
    default: return z;
  }
}

template <typename T>
HLA_DEVICE void maps_block(const MapArgs& a, unsigned char* shared) {
  constexpr int kTerms = T::kTerms;
  using Raw = typename T::Raw;
  const int thread = thread_index();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int quad = lane / 4;
  const int in_quad = lane % 4;

  int64_t rest = block_index();
  const int first_column = static_cast<int>(rest % a.column_tiles) * kMapColumns;
  rest /= a.column_tiles;
  const int64_t first_token = rest % a.token_tiles * kMapTokens;
  const int64_t group = rest / a.token_tiles;
  const int64_t head = group % a.heads;
  const int columns = a.features - first_column < kMapColumns ? a.features - first_column : kMapColumns;

  const Raw* const x = static_cast<const Raw*>(a.x.data) + group / a.heads * a.x.batch_stride + head * a.x.head_stride;
  const Raw* const weight = static_cast<const Raw*>(a.weight) + head * a.depth * a.features + first_column;
  const Raw* const bias = static_cast<const Raw*>(a.bias) + head * a.features + first_column;
  const float* const mask = a.mask.data == nullptr ? nullptr : a.mask.data + group / a.heads * a.mask.batch_stride;
  uint16_t* const xs = reinterpret_cast<uint16_t*>(shared);  // [term][token][kMapXPitch]
  uint16_t* const ws = xs + MapShape<T>::kXWords;            // [term][depth][kMapWPitch]

  float sums[kMapColumns / 8][2][4] = {};  // [fragment of columns][fragment of rows]
  for (int depth = 0; depth < a.depth; depth += kMapDepth) {
    barrier();  // the tile before has been multiplied
    for (int piece = thread; piece < kMapTokens * kMapDepth / 8; piece += kThreads) {
      const int row = piece / (kMapDepth / 8);
      const int column = piece % (kMapDepth / 8) * 8;
      const int64_t token = first_token + row;
      Eight<T> eight;
      eight.read(x + token * a.x.token_stride + depth + column, token < a.tokens ? a.depth - depth - column : 0, a.aligned_x);
      eight.template write<kTerms>(xs + row * kMapXPitch + column, kMapTokens * kMapXPitch);
    }
    for (int piece = thread; piece < kMapDepth * kMapColumns / 8; piece += kThreads) {
      const int row = piece / (kMapColumns / 8);
      const int column = piece % (kMapColumns / 8) * 8;
      Eight<T> eight;
      eight.read(weight + static_cast<int64_t>(depth + row) * a.features + column,
                 depth + row < a.depth ? columns - column : 0, a.aligned_weight);
      eight.template write<kTerms>(ws + row * kMapWPitch + column, kMapDepth * kMapWPitch);
    }
    barrier();  // the tile is there

#pragma unroll
    for (int step = 0; step < kMapDepth; step += 16) {
      uint32_t rows[2][kTerms][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int i = 0; i < kTerms; ++i) {
          load_matrices(rows[m][i],
                        xs + (i * kMapTokens + warp * 32 + m * 16 + lane % 16) * kMapXPitch + step + lane / 16 * 8);
        }
      }
#pragma unroll
      for (int n = 0; n < kMapColumns / 16; ++n) {
        if (n * 16 < columns) {
          uint32_t operand[kTerms][4];
#pragma unroll
          for (int j = 0; j < kTerms; ++j) {
            load_transposed(operand[j], ws + (j * kMapDepth + step + lane % 16) * kMapWPitch + n * 16 + lane / 16 * 8);
          }
          multiply_terms(sums[2 * n], sums[2 * n + 1], rows, operand);
        }
      }
    }
  }

#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n < kMapColumns / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t token = first_token + warp * 32 + m * 16 + quad + i / 2 * 8;
        const int column = n * 8 + in_quad * 2 + i % 2;
        if (token >= a.tokens || column >= columns) continue;
        const int64_t at = (group * a.tokens + token) * a.features + first_column + column;
        float feature = activate(sums[n][m][i] + T::read(bias[column]), activation_of(a.activations, first_column + column));
        if (mask != nullptr) feature *= expf(mask[token * a.mask.token_stride] * a.mask.share);
        if (a.bfloat16) {
          static_cast<uint16_t*>(a.result)[at] = Bfloat16::round(feature);
        } else {
          static_cast<float*>(a.result)[at] = feature;
        }
      }
    }
  }
}

}  // namespace hla::cuda
