// State pass: one block holds 128 rows of one head's state in registers and adds up a chunk of its tokens.
//
// A warp has 32 rows by 128 value columns and the denominator. Its rows' products are formed in registers, right where the
// tensor core wants its first operand: a lane holds four neighbouring tokens of a row, so one 16-byte read gives a node for
// all of them. The tensor core's token order is a permutation of ours, and the second operand's rows are permuted alike.
// The column of ones that gives the denominator is a constant fragment, so numerator and denominator see the same rounding.
//
// The partial states of the chunks are added by the reduction, in order: no atomics, so the same call gives the same bits.
//
// What the versions taught (nvcc 13.0, -Xptxas -v and the SASS of sm_90):
// 1. Eight values ahead as eight 16-bit registers, six nodes ahead: 255 registers and 36 bytes spilled with one term.
// 2. The same values as four words, and one running pointer for a thread's rows: 250 registers, no spills.
// 3. A branch for every 16 columns: 154 instructions for the 34 HMMA of a step, each branch with its WARPSYNC. Whole tiles
//    with code of their own: 99 instructions (8 LDS, 8 LDSM, 8 F2FP among them). With three terms that spilled 28 bytes.
// 4. With whole tiles, six nodes ahead spilled 20 bytes on sm_80, 89 and 90, five 4 bytes, and four 4 bytes on sm_120; three
//    spill on none of the targets.
// 5. Version 4 on an H100, the first time on a device (32760 keys, 12 heads, width 128, bfloat16, by ncu): 1.54 ms at
//    D = 1024, of 2.25 ms for the whole call. The schedulers issue in 25% of the cycles and device memory is at 4% of its
//    peak: 255 registers leave a multiprocessor 8 warps, and an issue waits 2.5 cycles for the instruction before, 2.0 for
//    device memory and 1.2 for shared memory. It is bound by latency, not by bytes or by the tensor cores.
#pragma once

#include "nodes.h"

namespace hla::cuda {

template <typename T, int kTerms>
struct StateShape {
  static constexpr int kValueTerms = Smaller<T::kTerms, kTerms>::kValue;
  static constexpr int kValueWords = kValueTerms * kStateTokens * kPitch;  // 16-bit words: 8704 bytes a term
  static constexpr int shared_bytes(int nodes) {
    return kValueWords * 2 + nodes * (kStateNodePitch * 4 + 4);
  }
};

template <typename T, int kTerms>
HLA_DEVICE void state_block(const StateArgs& a, unsigned char* shared) {
  using Shape = StateShape<T, kTerms>;
  constexpr int kValueTerms = Shape::kValueTerms;
  constexpr int kPieces = kStateTokens * kColumns / 8 / kThreads;  // of eight values, for each thread
  // Reading the next tile while this one is multiplied costs registers, which the variants with more terms have not.
  constexpr bool kAhead = kTerms == 1;
  constexpr int kNodesAhead = 3;

  const int thread = thread_index();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int quad = lane / 4;
  const int in_quad = lane % 4;

  int64_t rest = block_index();
  const int row_tile = static_cast<int>(rest % a.row_tiles);
  rest /= a.row_tiles;
  const int column_tile = static_cast<int>(rest % a.column_tiles);
  rest /= a.column_tiles;
  const int chunk = static_cast<int>(rest % a.chunks);
  const int64_t group = rest / a.chunks;
  const int64_t batch = group / a.heads;
  const int64_t head = group % a.heads;

  const Segment segment = a.table.segments[row_tile];
  const int first_column = column_tile * kColumns;
  const int columns = a.width - first_column < kColumns ? a.width - first_column : kColumns;
  const int64_t begin = chunk * a.chunk_tokens;
  const int64_t end = begin + a.chunk_tokens < a.keys ? begin + a.chunk_tokens : a.keys;
  const auto* values_in = static_cast<const typename T::Raw*>(a.value.data) + batch * a.value.batch_stride +
                          head * a.value.head_stride + first_column;

  uint16_t* const values = reinterpret_cast<uint16_t*>(shared);                      // [term][token][kPitch]
  float* const nodes = reinterpret_cast<float*>(shared + Shape::kValueWords * 2);    // [node][kStateNodePitch]
  int32_t* const codes = reinterpret_cast<int32_t*>(nodes + segment.node_count * kStateNodePitch);
  for (int i = thread; i < segment.node_count; i += kThreads) codes[i] = a.table.nodes[segment.first_node + i];
  const NodeTile<kStateTokens, kStateNodePitch> tile(
      codes, segment.node_count, a.table.lists, a.features.data,
      batch * a.features.batch_stride + head * a.features.head_stride, a.features.token_stride, a.feature_element);

  // A lane's rows: quad and quad + 8 of two fragments.
  const bool busy = segment.first_row + warp * 32 < a.rows;
  int parents[2][2], leaves[2][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t pair = a.table.pairs[segment.first_row + warp * 32 + i * 8 + quad];
    parents[i / 2][i % 2] = static_cast<int>(pair & 0xffffu) * kStateNodePitch + in_quad * 4;
    leaves[i / 2][i % 2] = static_cast<int>(pair >> 16) * kStateNodePitch + in_quad * 4;
  }

  // The address that this lane gives to load_transposed: the token that stands at its place of the tensor core's order.
  const int place = lane % 16;
  const int token_of_place = 4 * (place % 8 / 2) + place % 2 + 2 * (place / 8);
  const uint16_t* const matrix_row = values + token_of_place * kPitch + lane / 16 * 8;

  Eight<T> ahead[kPieces];
  float nodes_ahead[kNodesAhead];
  // A thread reads the same eight columns of every kRowStep-th token.
  constexpr int kRowStep = kThreads / (kColumns / 8);
  const int column = thread % (kColumns / 8) * 8;
  const int row = thread / (kColumns / 8);
  uint16_t* const values_to = values + row * kPitch + column;
  const auto fetch = [&](int64_t token) {
    const auto* from = values_in + (token + row) * a.value.token_stride + column;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      ahead[i].read(from, token + row + i * kRowStep < end ? columns - column : 0, a.aligned);
      from += kRowStep * a.value.token_stride;
    }
    if (kAhead) {
#pragma unroll
      for (int i = 0; i < kNodesAhead; ++i) {
        if (warp + i * kWarps < tile.pieces()) nodes_ahead[i] = tile.read(warp + i * kWarps, token, end);
      }
    }
  };

  float sums[kColumns / 8 + 1][2][4] = {};  // [fragment of columns][fragment of rows]
  const uint32_t one = quad == 0 ? 0x3f803f80u : 0u;
  const uint32_t ones[1][2] = {{one, one}};

  // The tile's products. Tiles with all columns have code of their own, without a branch for every 16 columns: the branches
  // keep the compiler from loading the next operand while this one is multiplied.
  // With three terms they have not: it spilled.
  const auto multiply = [&](auto whole) {
#pragma unroll 1
    for (int step = 0; step < kStateTokens; step += 16) {
      uint32_t rows[2][kTerms][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Float4 parent = *reinterpret_cast<const Float4*>(nodes + parents[i / 2][i % 2] + step);
        const Float4 leaf = *reinterpret_cast<const Float4*>(nodes + leaves[i / 2][i % 2] + step);
        uint32_t first[kTerms], second[kTerms];
        split<kTerms>(parent.x * leaf.x, parent.y * leaf.y, first);
        split<kTerms>(parent.z * leaf.z, parent.w * leaf.w, second);
#pragma unroll
        for (int j = 0; j < kTerms; ++j) {
          rows[i / 2][j][i % 2] = first[j];
          rows[i / 2][j][2 + i % 2] = second[j];
        }
      }
#pragma unroll
      for (int n = 0; n < kColumns / 16; ++n) {
        if (decltype(whole)::kValue || n * 16 < columns) {
          uint32_t operand[kValueTerms][4];
#pragma unroll
          for (int j = 0; j < kValueTerms; ++j) {
            load_transposed(operand[j], matrix_row + (j * kStateTokens + step) * kPitch + n * 16);
          }
          multiply_terms(sums[2 * n], sums[2 * n + 1], rows, operand);
        }
      }
      multiply_terms(sums[kColumns / 8], rows, ones);
    }
  };

  barrier();
  if (kAhead) fetch(begin);
  for (int64_t token = begin; token < end; token += kStateTokens) {
    if (!kAhead) fetch(token);
    barrier();  // the tile before has been multiplied
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      ahead[i].template write<kValueTerms>(values_to + i * kRowStep * kPitch, kStateTokens * kPitch);
    }
    if (kAhead) {
#pragma unroll
      for (int i = 0; i < kNodesAhead; ++i) {
        if (warp + i * kWarps < tile.pieces()) tile.write(warp + i * kWarps, nodes_ahead[i], nodes);
      }
    }
    for (int piece = warp + (kAhead ? kNodesAhead * kWarps : 0); piece < tile.pieces(); piece += kWarps) {
      tile.write(piece, tile.read(piece, token, end), nodes);
    }
    barrier();  // the tile is there
    if (kAhead && token + kStateTokens < end) fetch(token + kStateTokens);
    if (!busy) continue;

    if (kTerms < 3 && columns == kColumns) {
      multiply(Flag<true>());
    } else {
      multiply(Flag<false>());
    }
  }

  const int64_t padded_rows = static_cast<int64_t>(a.row_tiles) * kStateRows;
  float* const partial = a.partial + (((group * a.chunks + chunk) * a.column_tiles + column_tile) * padded_rows +
                                      segment.first_row + warp * 32 + quad) * kPitch + in_quad * 2;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n <= kColumns / 8; ++n) {
      if (n * 8 < columns || n == kColumns / 8) {
        float* const to = partial + m * 16 * kPitch + n * 8;
        to[0] = sums[n][m][0];
        to[1] = sums[n][m][1];
        to[8 * kPitch] = sums[n][m][2];
        to[8 * kPitch + 1] = sums[n][m][3];
      }
    }
  }
}

}  // namespace hla::cuda
