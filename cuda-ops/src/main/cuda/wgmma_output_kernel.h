// Output pass by warpgroup products: one block makes a part of a head's outputs, 256 tokens at a time, 32 a warp. A product's
// rows are tokens, its depth is rows of the state, its columns are values.
//
// A warp loads the second factor's features of its tokens once, in the tensor core's own order; times one feature of the
// first factor, the same for 16 or 32 rows of the state, they are the operand of each step. The state comes as the reduction
// wrote it, in the order of the products' second operand. Where all of it fits into shared memory it is copied once and the
// warps go on without a barrier, each on its own: one warpgroup divides and stores while the other multiplies. Else its
// tiles go around in four stages, as the values do in the state pass, and no round ends with the tokens.
//
// No device has run it. What the versions taught (nvcc 13.0, -Xptxas -v and the machine code of sm_90a, 128 columns):
// 1. Both warpgroups in step, each row's address computed: 665 instructions a warp to divide and store 32 tokens, 227 to 244
//    registers. In step, both divide and store at a time.
// 2. One warpgroup half a tile behind, running addresses, copies behind the first products: 475 instructions, 208 to 218
//    registers, no spills; 178 instructions for 64 rows of the state that are resident, 213 for those that are not, with 16
//    HGMMA in four groups of which one always runs on. In a simulation of the queue of products the warpgroups drift apart by
//    themselves within three or four tiles: version 1 has the tensor cores idle for 5% of 12 tiles, this one for 1 to 2%.
//
// A model's estimate for an H200 as in the state pass, not measured: 256 tokens, 128 columns, 64 rows of the state take 1088
// to 1280 cycles of products, 356 to 426 issue cycles, 610 to 750 of shared memory; dividing and storing 950 issue cycles
// and 1020 of shared memory, hidden at D = 256. There 4350 to 5120 cycles of products stand against 4400 of device memory for
// 80 KiB: both bound it. 12 heads of 32760 tokens: 12 such tiles, 34 us; D = 1024 in turns, 135 us.
#pragma once

#include "numbers.h"
#include "wgmma.h"
#include "wgmma_args.h"

namespace hla::cuda {

// Cycles: half of what a warpgroup's products of 64 rows of the state take when it has the tensor cores for itself.
constexpr int kPauseOfStateTile = 288;

// kHalves: second_rank / 16, 1 or 2.
template <int kColumns, int kHalves, bool kResident>
HLA_DEVICE void wgmma_output_block(const WgmmaOutputArgs& a, unsigned char* shared) {
  constexpr int kTileBytes = state_tile_bytes(kColumns);
  constexpr int kStagingPitch = kColumns * 2 + 16;

  const int thread = thread_index();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int quad = lane / 4;
  const int in_quad = lane % 4;

  const int part = static_cast<int>(block_index() % a.parts);
  const int64_t group = block_index() / a.parts;
  const int first_tile = static_cast<int>(static_cast<int64_t>(part) * a.tiles / a.parts);
  const int last_tile = static_cast<int>(static_cast<int64_t>(part + 1) * a.tiles / a.parts);
  if (first_tile == last_tile) return;
  const int features = a.first_rank + a.second_rank;
  const int pitch = feature_pitch_bytes(features);
  const int feature_bytes = wgmma_warp_features_bytes(features);
  const int state_tiles = a.first_rank * a.second_rank / kTileRows;

  unsigned char* const own = shared + (kResident ? state_tiles : kStages) * kTileBytes +
                             warp * (2 * feature_bytes + wgmma_staging_bytes(kColumns));
  unsigned char* const staging = own + 2 * feature_bytes;
  const auto* const state =
      reinterpret_cast<const unsigned char*>(a.state) + group * state_tiles * static_cast<int64_t>(kTileBytes);
  const auto* const features_in = static_cast<const uint16_t*>(a.features.data) +
                                  group / a.heads * a.features.batch_stride + group % a.heads * a.features.head_stride;
  auto* const output = static_cast<uint16_t*>(const_cast<void*>(a.output.data)) + group / a.heads * a.output.batch_stride +
                       group % a.heads * a.output.head_stride;

  // The warp's 16 tokens of product i of a tile.
  const auto token_of = [&](int tile, int i) {
    return static_cast<int64_t>(tile) * kGroupTokens + warp / 4 * 128 + i * 64 + warp % 4 * 16;
  };
  // A lane copies the same eight features of every feature_step-th of the warp's tokens.
  const int pieces_log = a.feature_pieces_log;
  const int feature_step = 32 >> pieces_log;
  const int feature_row = lane >> pieces_log;
  const int feature_piece = lane & ((1 << pieces_log) - 1);
  const auto copy_features = [&](int tile) {
    if (feature_piece * 8 >= features) return;
    unsigned char* const to = own + tile % 2 * feature_bytes + feature_piece * 16;
    for (int r = feature_row; r < 32; r += feature_step) {
      const int64_t token = token_of(tile, r / 16) + r % 16;
      copy_or_zero(to + r * pitch, features_in + token * a.features.token_stride + feature_piece * 8, token < a.queries);
    }
  };
  const auto copy_state = [&](int tile, int stage) {
    unsigned char* const to = shared + stage * kTileBytes + thread * 16;
    const unsigned char* const from = state + static_cast<int64_t>(tile) * kTileBytes + thread * 16;
#pragma unroll
    for (int i = 0; i < kTileBytes; i += kGroupThreads * 16) {
      if (i + kGroupThreads * 16 <= kTileBytes || thread * 16 < kTileBytes - i) copy_or_zero(to + i, from + i, true);
    }
  };

  if (kResident) {
    for (int i = 0; i < state_tiles; ++i) copy_state(i, i);
    copy_features(first_tile);
    commit_copies();
    wait_for_copies_but<0>();
    show_to_products();
    barrier();  // the state is there
  } else {
    copy_features(first_tile);
    copy_state(0, 0);
    commit_copies();
    copy_state(1, 1);
    commit_copies();
  }

  // In step, both warpgroups would divide and store at the same time, and the tensor cores wait: one begins half a tile later.
  if (kResident && warp >= 4) pause(state_tiles * kPauseOfStateTile);

  int turn = 0;      // of the stages
  int to_copy = 2;   // the state's tile that is copied next
  const int lane_row = lane % 16 * pitch + lane / 16 * 16;

#pragma unroll 1
  for (int tile = first_tile; tile < last_tile; ++tile) {
    const unsigned char* const nodes = own + tile % 2 * feature_bytes;
    float sums[2][kColumns / 2] = {};
    float ones[2][4] = {};
    uint32_t second[2][kHalves][4];
    uint32_t operands[2][2][4];  // [step % 2][product]
    uint32_t pairs[2][2];        // two features of the first factor, of the lane's two tokens of either product

#pragma unroll 1
    for (int state_tile = 0; state_tile < state_tiles; ++state_tile) {
      if (!kResident) {
        wait_for_copies_but<1>();
        show_to_products();
        barrier();  // the tile is there, and the products of the tile before the last have ended
      } else if (state_tile == 0) {
        wait_for_copies_but<0>();
        warp_barrier();  // the features are there, and those before have been used
      }
      if (state_tile == 0) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int h = 0; h < kHalves; ++h) {
            load_matrices(second[i][h],
                          reinterpret_cast<const uint16_t*>(nodes + i * 16 * pitch + lane_row + a.first_rank * 2 + h * 32));
          }
        }
      }
      const unsigned char* const stage = shared + (kResident ? state_tile : turn % kStages) * kTileBytes;
      const uint64_t state_at = descriptor(stage, kTileBlockBytes, 1024, Order::kSwizzle128);
      const uint64_t ones_at =
          descriptor(stage + kColumns / kBlockColumns * kTileBlockBytes, 128, 128, Order::kPlain);
#pragma unroll
      for (int step = 0; step < kTileRows / 16; ++step) {
        uint32_t(&rows)[2][4] = operands[step % 2];
        wgmma_wait<1>();  // these operands' last products have ended
        if (step % (2 * kHalves) == 0) {
          const int feature = (state_tile * (kTileRows / 16) + step) / kHalves;
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            pairs[i / 2][i % 2] =
                *reinterpret_cast<const uint32_t*>(nodes + (i / 2 * 16 + i % 2 * 8 + quad) * pitch + feature * 2);
          }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const bool high = step / kHalves % 2 != 0;
          const uint32_t near = halves(pairs[i][0], pairs[i][0], high);
          const uint32_t far = halves(pairs[i][1], pairs[i][1], high);
          const uint32_t(&leaf)[4] = second[i][step % kHalves];
          rows[i][0] = multiply_pairs(leaf[0], near);
          rows[i][1] = multiply_pairs(leaf[1], far);
          rows[i][2] = multiply_pairs(leaf[2], near);
          rows[i][3] = multiply_pairs(leaf[3], far);
        }
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          wgmma<kColumns>(sums[i], rows[i], state_at + step * (16 * 128 >> 4));
          wgmma<8>(ones[i], rows[i], ones_at + step * (16 * 16 >> 4));
        }
        wgmma_commit();
        if (step == 0) {  // behind products, not between the barrier and them
          const bool more = tile + 1 < last_tile;
          if (!kResident && (more || state_tile + 2 < state_tiles)) copy_state(to_copy, (turn + 2) % kStages);
          if (more && state_tile == 0) copy_features(tile + 1);
          if (!kResident || state_tile == 0) commit_copies();
          to_copy = to_copy + 1 < state_tiles ? to_copy + 1 : 0;
        }
      }
      ++turn;
    }
    wgmma_wait<0>();

#pragma unroll
    for (int i = 0; i < 2; ++i) {
      settle(sums[i]);
      settle(ones[i]);
      // The denominator is in column 0, which the first lane of the four holds.
      const float near = 1.0f / (shuffle(ones[i][0], lane & ~3) + a.epsilon);
      const float far = 1.0f / (shuffle(ones[i][2], lane & ~3) + a.epsilon);
      warp_barrier();  // the outputs before have been stored
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n) {
        unsigned char* const to = staging + quad * kStagingPitch + n * 16 + in_quad * 4;
        *reinterpret_cast<uint32_t*>(to) = pack_bfloat16(sums[i][4 * n] * near, sums[i][4 * n + 1] * near);
        *reinterpret_cast<uint32_t*>(to + 8 * kStagingPitch) =
            pack_bfloat16(sums[i][4 * n + 2] * far, sums[i][4 * n + 3] * far);
      }
      warp_barrier();  // the outputs are there
      constexpr int kRowPieces = kColumns / 8;
      const int column = lane % kRowPieces * 8;
      const int64_t first_token = token_of(tile, i);
      const int64_t beyond = a.queries - first_token;
      const int rows_left = column >= a.width || beyond < 0 ? 0 : beyond < 16 ? static_cast<int>(beyond) : 16;
      uint16_t* to = output + (first_token + lane / kRowPieces) * a.output.token_stride + column;
      const int64_t step = 32 / kRowPieces * a.output.token_stride;
#pragma unroll
      for (int r = lane / kRowPieces; r < 16; r += 32 / kRowPieces) {
        if (r < rows_left) *reinterpret_cast<Word4*>(to) = *reinterpret_cast<const Word4*>(staging + r * kStagingPitch + column * 2);
        to += step;
      }
    }
  }
}

}  // namespace hla::cuda
