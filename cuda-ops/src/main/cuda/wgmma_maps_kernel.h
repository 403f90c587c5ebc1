// Feature maps by warpgroup products, for the warpgroup passes: z = x W + b for up to 64 features of one head, each factor's
// activation, rounded to bfloat16. One block makes a part of a head's tokens, 256 at a time, 32 a warp.
//
// W lies in shared memory as a whole, in the order of the products' second operand; a warp copies its own tokens' x, the next
// while this one is multiplied, so that after the start no warp waits for another. bfloat16 products are exact in float32.
//
// No device has run it. nvcc 13.0 for sm_90a: 113 registers, no spills. Bound by device memory, by arithmetic: 64 KiB of
// x for 256 tokens of 128 columns take 5000 cycles of a multiprocessor's share of 3.0 TB/s, their products 1024.
#pragma once

#include "maps_kernel.h"
#include "wgmma.h"
#include "wgmma_args.h"

namespace hla::cuda {

// As activate(), near enough for a result that is rounded to bfloat16, for a fraction of its instructions. The logarithm of
// 1 + e would lose the digits of a small e.
HLA_DEVICE float activate_near(float z, Activation activation) {
  if (activation == Activation::kSoftplus) {
    const float e = near_exp(-fabsf(z));
    return (z > 0.0f ? z : 0.0f) + (e < 0.015625f ? e - e * e * (0.5f - e * (1.0f / 3)) : near_log(1.0f + e));
  }
  return activation == Activation::kExp ? near_exp(z) : activation == Activation::kRelu ? (z < 0.0f ? 0.0f : z) : z;
}

HLA_DEVICE void wgmma_maps_block(const WgmmaMapArgs& a, unsigned char* shared) {
  constexpr int kStagingPitch = kBlockColumns * 2 + 16;
  const int thread = thread_index();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int quad = lane / 4;
  const int in_quad = lane % 4;

  const int part = static_cast<int>(block_index() % a.parts);
  const int64_t group = block_index() / a.parts;
  const int64_t head = group % a.heads;
  const int first_tile = static_cast<int>(static_cast<int64_t>(part) * a.tiles / a.parts);
  const int last_tile = static_cast<int>(static_cast<int64_t>(part + 1) * a.tiles / a.parts);
  const int pitch = feature_pitch_bytes(a.depth);
  const int x_bytes = wgmma_warp_features_bytes(a.depth);

  unsigned char* const own = shared + a.depth * 128 + warp * (2 * x_bytes + wgmma_staging_bytes(kBlockColumns));
  unsigned char* const staging = own + 2 * x_bytes;
  float* const biases = reinterpret_cast<float*>(shared + a.depth * 128 +
                                                 kGroupWarps * (2 * x_bytes + wgmma_staging_bytes(kBlockColumns)));
  int32_t* const kinds = reinterpret_cast<int32_t*>(biases + kBlockColumns);  // of eight features, which have one
  const auto* const x = static_cast<const uint16_t*>(a.x.data) + group / a.heads * a.x.batch_stride + head * a.x.head_stride;
  const auto* const weight = static_cast<const uint16_t*>(a.weight) + head * a.depth * a.features;
  const auto* const bias = static_cast<const uint16_t*>(a.bias) + head * a.features;
  uint16_t* const result = a.result + group * a.tokens * a.features;

  const auto token_of = [&](int tile, int i) {
    return static_cast<int64_t>(tile) * kGroupTokens + warp / 4 * 128 + i * 64 + warp % 4 * 16;
  };
  const int x_row = lane >> a.depth_pieces_log;
  const int x_piece = lane & ((1 << a.depth_pieces_log) - 1);
  const auto copy_x = [&](int tile) {
    if (x_piece * 8 >= a.depth) return;
    unsigned char* const to = own + tile % 2 * x_bytes + x_piece * 16;
    for (int r = x_row; r < 32; r += 32 >> a.depth_pieces_log) {
      const int64_t token = token_of(tile, r / 16) + r % 16;
      copy_or_zero(to + r * pitch, x + token * a.x.token_stride + x_piece * 8, token < a.tokens);
    }
  };

  for (int i = thread; i < a.depth * (kBlockColumns / 8); i += kGroupThreads) {
    const int row = i / (kBlockColumns / 8);
    const int column = i % (kBlockColumns / 8) * 8;
    copy_or_zero(shared + swizzled(row, column, 0), weight + row * a.features + column, column < a.features);
  }
  copy_x(first_tile);
  commit_copies();
  if (thread < kBlockColumns) {
    biases[thread] = thread < a.features ? Bfloat16::read(bias[thread]) : 0.0f;
    if (thread % 8 == 0) kinds[thread / 8] = static_cast<int32_t>(activation_of(a.activations, thread));
  }
  wait_for_copies_but<0>();
  show_to_products();
  barrier();  // W, the biases and the activations are there

  const int lane_row = lane % 16 * pitch + lane / 16 * 16;
  const uint64_t weight_at = descriptor(shared, 0, 1024, Order::kSwizzle128);
#pragma unroll 1
  for (int tile = first_tile; tile < last_tile; ++tile) {
    wait_for_copies_but<0>();
    warp_barrier();  // the tokens are there, and those before have been used
    if (tile + 1 < last_tile) copy_x(tile + 1);
    commit_copies();
    const unsigned char* const rows = own + tile % 2 * x_bytes + lane_row;
    float sums[2][kBlockColumns / 2] = {};
    uint32_t operands[2][2][4];  // [step % 2][product]
#pragma unroll 1
    for (int depth = 0; depth < a.depth; depth += 32) {
#pragma unroll
      for (int step = 0; step < 2; ++step) {
        wgmma_wait<1>();  // these operands' last products have ended
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          load_matrices(operands[step][i],
                        reinterpret_cast<const uint16_t*>(rows + i * 16 * pitch + (depth + step * 16) * 2));
        }
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          wgmma<kBlockColumns>(sums[i], operands[step][i], weight_at + static_cast<uint64_t>((depth + step * 16) * 128 >> 4));
        }
        wgmma_commit();
      }
    }
    wgmma_wait<0>();

#pragma unroll
    for (int i = 0; i < 2; ++i) {
      settle(sums[i]);
      warp_barrier();  // the features before have been stored
#pragma unroll
      for (int n = 0; n < kBlockColumns / 8; ++n) {
        if (n * 8 >= a.features) break;
        const int column = n * 8 + in_quad * 2;
        const auto kind = static_cast<Activation>(kinds[n]);
        float z[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          z[j] = activate_near(sums[i][4 * n + j] + biases[column + j % 2], kind);
        }
        unsigned char* const to = staging + quad * kStagingPitch + column * 2;
        *reinterpret_cast<uint32_t*>(to) = pack_bfloat16(z[0], z[1]);
        *reinterpret_cast<uint32_t*>(to + 8 * kStagingPitch) = pack_bfloat16(z[2], z[3]);
      }
      warp_barrier();  // the features are there
      const int column = lane % (kBlockColumns / 8) * 8;
#pragma unroll
      for (int r = lane / (kBlockColumns / 8); r < 16; r += 32 / (kBlockColumns / 8)) {
        const int64_t token = token_of(tile, i) + r;
        if (token >= a.tokens || column >= a.features) continue;
        *reinterpret_cast<Word4*>(result + token * a.features + column) =
            *reinterpret_cast<const Word4*>(staging + r * kStagingPitch + column * 2);
      }
    }
  }
}

}  // namespace hla::cuda
