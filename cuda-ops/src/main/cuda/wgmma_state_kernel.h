// State pass by warpgroup products: one block holds 256 rows of one head's state in registers, 128 a warpgroup, and adds up
// a chunk of its tokens, 64 at a time. A product's rows are rows of the state, its depth is tokens, its columns are values.
//
// A warp's 16 rows of a product share one feature of the first factor. Transposed loads give the second factor's features
// in the tensor core's own order, a word for two tokens; times the first factor's feature of both they are the operand.
// bfloat16 products are rounded once, as in the kernels without warpgroups. The values go from device to shared memory as
// they are, in rows of 128 bytes whose pieces are permuted so that neither the copies nor the products meet bank conflicts.
// The column of ones is a constant operand of its own, so numerator and denominator see the same rounding.
//
// Copies run four tiles ahead in six stages: a tile's stage is filled again one barrier after its last product has ended. The
// products of a step run while the operands of the next are formed, across the tiles' barriers too; copies are issued behind
// a tile's first products. Of the first factor's features a block copies those of its own rows.
//
// No device has run it. What the versions taught (nvcc 13.0, -Xptxas -v and the machine code of sm_90a):
// 1. Copies that divide by the number of a token's features: 589 instructions a warp for a tile's 16 products of 128 columns,
//    1180 issue cycles of the 1088 that the products take.
// 2. Copies of a power of two of pieces a token, and running pointers: 246 instructions, 190 to 192 registers (128 columns).
//    A step is loads, 8 HMUL2, WARPGROUP.ARRIVE, 4 HGMMA, WARPGROUP.DEPBAR: one group runs on behind every wait.
// 3. Copies behind the first products instead of behind the barrier, six stages instead of four: 230 to 234 instructions, 194
//    registers. The copies' 90 instructions a warp stood between the barrier and the first products. A simulation of the queue
//    of products has the tensor cores idle in 1 to 12% of a tile's time for that, as the copies take 150 to 350 cycles, and
//    in 1% now.
//
// A model's estimate for an H200 (132 multiprocessors, 1.75 GHz, 4.3 TB/s: 18.6 bytes a cycle each), not measured; a tile of
// 64 tokens, 256 rows, 128 columns, in cycles:
//                        ranks 16,16      32,32
//   products             1088 to 1280     the same     64 for 128 columns; for the 8 of the ones 4 at best, 16 at worst
//   issue                468              460          230 to 234 instructions of 2 warps a scheduler, the loops once
//   shared memory        960              1100         544 products' operands, 256 (384) LDS and LDSM, 160 (172) copies
//   device memory        1100             290          20 KiB; with 32,32 the four blocks of a chunk share them in L2
// So ranks 16,16 are bound by products and device memory alike, 32,32 by products and shared memory. One head's 32760 tokens
// in 11 chunks: 47 tiles, then 139 KB of partial state: 35 us; 32,32: three rounds of 64 tiles, 150 us.
#pragma once

#include "wgmma.h"
#include "wgmma_args.h"

namespace hla::cuda {

// kHalves: second_rank / 16, 1 or 2.
template <int kColumns, int kHalves>
HLA_DEVICE void wgmma_state_block(const WgmmaStateArgs& a, unsigned char* shared) {
  constexpr int kValueBytes = kColumns / kBlockColumns * kTileBlockBytes;
  constexpr int kPieces = kTileRows * kColumns / 8 / kGroupThreads;  // of eight values, for each thread

  const int thread = thread_index();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int in_quad = lane % 4;

  int64_t rest = block_index();
  const int row_block = static_cast<int>(rest % a.row_blocks);
  rest /= a.row_blocks;
  const int chunk = static_cast<int>(rest % a.chunks);
  const int64_t group = rest / a.chunks;
  const int64_t begin = chunk * a.chunk_tokens;
  const int64_t end = begin + a.chunk_tokens < a.keys ? begin + a.chunk_tokens : a.keys;
  const int features = a.first_rank + a.second_rank;
  const int pitch = feature_pitch_bytes(features);
  const int stage_bytes = whole_kilobytes(wgmma_state_stage_bytes(kColumns, features));
  unsigned char* const ones_tile = shared + kStateStages * stage_bytes;

  const auto* const values_in = static_cast<const uint16_t*>(a.value.data) + group / a.heads * a.value.batch_stride +
                                group % a.heads * a.value.head_stride;
  const auto* const features_in = static_cast<const uint16_t*>(a.features.data) +
                                  group / a.heads * a.features.batch_stride + group % a.heads * a.features.head_stride;

  // A thread copies the same eight columns of every kRowStep-th token, and the same eight features.
  constexpr int kRowStep = kGroupThreads / (kColumns / 8);
  static_assert(kRowStep % 8 == 0, "a thread's pieces lie at one place of their swizzled rows");
  const int column = thread % (kColumns / 8) * 8;
  const int row = thread / (kColumns / 8);
  const int values_to = swizzled(row, column, kTileBlockBytes);
  const uint16_t* values_from = values_in + (begin + row) * a.value.token_stride + column;
  const int pieces_log = a.feature_pieces_log;
  const int feature_step = kGroupThreads >> pieces_log;
  const int feature_row = thread >> pieces_log;
  const int feature_piece = thread & ((1 << pieces_log) - 1);
  // Of the first factor's features, those of this block's rows: with ranks 32,32 an eighth of the tile less to read.
  constexpr int kBlockFeatures = kGroupStateRows / (16 * kHalves);
  const int first_in_block = feature_piece * 8 - row_block * kBlockFeatures;
  const bool wanted = feature_piece * 8 < features &&
                      (feature_piece * 8 >= a.first_rank || (first_in_block >= 0 && first_in_block < kBlockFeatures));
  const int features_to = kValueBytes + feature_row * pitch + feature_piece * 16;
  const uint16_t* features_from = features_in + (begin + feature_row) * a.features.token_stride + feature_piece * 8;
  // Tiles one after the other; `left` tokens from this one's first to the chunk's end.
  const auto copy_tile = [&](int left, int stage) {
    unsigned char* const to = shared + stage * stage_bytes;
    if (column < a.width) {
#pragma unroll
      for (int i = 0; i < kPieces; ++i) {
        copy_or_zero(to + values_to + i * kRowStep * 128, values_from + i * kRowStep * a.value.token_stride,
                     row + i * kRowStep < left);
      }
    }
    if (wanted) {
      for (int r = 0; r + feature_row < kTileRows; r += feature_step) {
        copy_or_zero(to + features_to + r * pitch, features_from + r * a.features.token_stride, r + feature_row < left);
      }
    }
    values_from += kTileRows * a.value.token_stride;
    features_from += kTileRows * a.features.token_stride;
  };

  // Two products a warpgroup: the warp's rows of product i are rows 16 * (unit + i) and on of the state.
  const int unit = row_block * (kGroupStateRows / 16) + 2 * warp;
  const int first = unit / kHalves < a.first_rank ? unit / kHalves : a.first_rank - 2;  // beyond the last: never stored
  const bool odd = kHalves == 2 && first % 2 != 0;
  // The lane's place in transposed loads of the second factor, and of its tokens' features of the first.
  const int second_at = (lane / 16 * 8 + lane % 8) * pitch + (a.first_rank + lane / 8 % 2 * 8) * 2;
  const int first_at = 2 * in_quad * pitch + first / 2 * 4;

  // Columns that no copy writes, and the operand that sums rows: one column of ones, seven of zeros.
  for (int i = thread; i < kStateStages * kTileRows * (kColumns / 8); i += kGroupThreads) {
    const int r = i / (kColumns / 8) % kTileRows;
    const int c = i % (kColumns / 8) * 8;
    if (c < a.width) continue;
    *reinterpret_cast<Word4*>(shared + i / (kColumns / 8) / kTileRows * stage_bytes + swizzled(r, c, kTileBlockBytes)) = {0, 0, 0, 0};
  }
  if (thread < 16) *reinterpret_cast<Word4*>(ones_tile + thread * 16) = {0x3f80u, 0, 0, 0};

  const int tiles = static_cast<int>((end - begin + kTileRows - 1) / kTileRows);
  int left = static_cast<int>(end - begin);
  for (int i = 0; i < kStateAhead; ++i) {
    if (left > 0) copy_tile(left, i);
    commit_copies();
    left -= kTileRows;
  }

  float sums[2][kColumns / 2] = {};
  float ones[2][4] = {};
  uint32_t operands[2][2][4];  // [step % 2][product]
  const uint64_t ones_at = descriptor(ones_tile, 128, 128, Order::kPlain);
  const auto next_of = [](int stage) { return stage + 1 < kStateStages ? stage + 1 : 0; };
  int stage = 0;                 // of this tile
  int free_stage = kStateAhead;  // of the tile that is copied next

#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    wait_for_copies_but<kStateAhead - 1>();
    show_to_products();
    barrier();  // the tile is there, and the products of the tile before the last have ended

    const unsigned char* const values = shared + stage * stage_bytes;
    stage = next_of(stage);
    const unsigned char* const nodes = values + kValueBytes;
    const uint64_t values_at = descriptor(values, kTileBlockBytes, 1024, Order::kSwizzle128);
#pragma unroll
    for (int step = 0; step < kTileRows / 16; ++step) {
      uint32_t(&rows)[2][4] = operands[step % 2];
      wgmma_wait<1>();  // these operands' last products have ended
      uint32_t second[kHalves][4];
      const unsigned char* const at = nodes + step * 16 * pitch;
#pragma unroll
      for (int h = 0; h < kHalves; ++h) {
        load_transposed(second[h], reinterpret_cast<const uint16_t*>(at + second_at + h * 32));
      }
      uint32_t pairs[2][2];  // two features of the first factor, of tokens 0, 1 and 8, 9 of the lane's
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        pairs[i / 2][i % 2] = *reinterpret_cast<const uint32_t*>(at + first_at + (i / 2 * 8 + i % 2) * pitch);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const bool high = kHalves == 1 ? i == 1 : odd;
        const uint32_t near = halves(pairs[0][0], pairs[0][1], high);
        const uint32_t far = halves(pairs[1][0], pairs[1][1], high);
        const uint32_t(&leaf)[4] = second[kHalves == 1 ? 0 : i];
        rows[i][0] = multiply_pairs(leaf[0], near);
        rows[i][1] = multiply_pairs(leaf[1], near);
        rows[i][2] = multiply_pairs(leaf[2], far);
        rows[i][3] = multiply_pairs(leaf[3], far);
      }
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        wgmma<kColumns>(sums[i], rows[i], values_at + step * (16 * 128 >> 4));
        wgmma<8>(ones[i], rows[i], ones_at);
      }
      wgmma_commit();
      if (step == 0) {  // behind products, not between the barrier and them
        if (left > 0) copy_tile(left, free_stage);
        commit_copies();
        left -= kTileRows;
        free_stage = next_of(free_stage);
      }
    }
  }
  wgmma_wait<0>();

  const int64_t state_rows = static_cast<int64_t>(a.first_rank) * a.second_rank;
  constexpr int kPartialPitch = kColumns + 8;
  float* const partial = a.partial + (group * a.chunks + chunk) * state_rows * kPartialPitch;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    settle(sums[i]);
    settle(ones[i]);
    if ((unit + i) * 16 >= state_rows) continue;
    float* const to = partial + ((unit + i) * 16 + lane / 4) * static_cast<int64_t>(kPartialPitch) + in_quad * 2;
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
      store_floats(to + n * 8, sums[i][4 * n], sums[i][4 * n + 1]);
      store_floats(to + n * 8 + 8 * kPartialPitch, sums[i][4 * n + 2], sums[i][4 * n + 3]);
    }
    store_floats(to + kColumns, ones[i][0], ones[i][1]);
    store_floats(to + kColumns + 8 * kPartialPitch, ones[i][2], ones[i][3]);
  }
}

}  // namespace hla::cuda
