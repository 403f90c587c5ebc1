// Between the warpgroup passes: the chunks' partial states are added in order and written in bfloat16 as the output pass
// copies them: tiles of 64 rows, their columns in the swizzled order of the products' second operand, then eight columns of
// which the first is the denominators.
//
// A thread adds eight columns of a row, four chunks' numbers on their way at a time.
#pragma once

#include "wgmma.h"
#include "wgmma_args.h"

namespace hla::cuda {

template <int kColumns>
HLA_DEVICE void wgmma_reduce_block(const WgmmaReduceArgs& a) {
  constexpr int kPieces = kColumns / 8 + 1;  // of eight columns, the last with the denominator
  constexpr int kPartialPitch = kColumns + 8;
  constexpr int kAhead = 4;
  const int blocks_of_group = (a.rows * kPieces + kGroupReduceThreads - 1) / kGroupReduceThreads;
  const int64_t group = block_index() / blocks_of_group;
  const int at = static_cast<int>(block_index() % blocks_of_group) * kGroupReduceThreads + thread_index();
  if (at >= a.rows * kPieces) return;
  const int row = at / kPieces;
  const int column = at % kPieces * 8;
  const int64_t chunk_stride = static_cast<int64_t>(a.rows) * kPartialPitch;
  const float* from = a.partial + group * a.chunks * chunk_stride + row * static_cast<int64_t>(kPartialPitch) + column;

  float sums[8] = {};
  for (int chunk = 0; chunk < a.chunks; chunk += kAhead) {
    Float4 parts[kAhead][2] = {};
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (chunk + i >= a.chunks) break;
      parts[i][0] = *reinterpret_cast<const Float4*>(from + i * chunk_stride);
      parts[i][1] = *reinterpret_cast<const Float4*>(from + i * chunk_stride + 4);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        sums[4 * j] += parts[i][j].x;
        sums[4 * j + 1] += parts[i][j].y;
        sums[4 * j + 2] += parts[i][j].z;
        sums[4 * j + 3] += parts[i][j].w;
      }
    }
    from += kAhead * chunk_stride;
  }

  const int tiles = a.rows / kTileRows;
  unsigned char* const tile = reinterpret_cast<unsigned char*>(a.state) +
                              (group * tiles + row / kTileRows) * state_tile_bytes(kColumns);
  const int in_tile = row % kTileRows;
  const int to = column < kColumns ? swizzled(in_tile, column, kTileBlockBytes)
                                   : kColumns / kBlockColumns * kTileBlockBytes + in_tile * 16;
  *reinterpret_cast<Word4*>(tile + to) = {pack_bfloat16(sums[0], sums[1]), pack_bfloat16(sums[2], sums[3]),
                                          pack_bfloat16(sums[4], sums[5]), pack_bfloat16(sums[6], sums[7])};
}

}  // namespace hla::cuda
