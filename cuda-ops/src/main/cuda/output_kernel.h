// Output pass: one block makes 128 tokens' outputs, 32 a warp, from the state's terms.
//
// The state comes in tiles of 32 rows, the next one copied while this one is multiplied. A lane's four tokens are neighbours
// (rows g and g + 8 of two fragments are tokens 4g to 4g + 3), so one 16-byte read gives a node for all four; the state's
// rows are permuted so that neighbouring lanes want neighbouring nodes, which lie in different banks.
//
// What the versions taught (nvcc 13.0, -Xptxas -v and the SASS of sm_90):
// 1. A branch for every 16 columns: 168 instructions for the 34 HMMA of a step with one term, at 217 registers.
// 2. Whole tiles with code of their own: 114 instructions (12 LDS, 9 LDSM, 8 F2FP among them), at 243 registers; with three
//    terms that spilled 16 bytes, so float32 keeps the branches: 629 instructions for 204 HMMA, at 219 registers.
// 3. Version 2 on an H100 (32760 queries, 12 heads, width 128, bfloat16, by ncu): 0.32 ms at D = 256, 0.69 ms at D = 1024.
//    8 warps a multiprocessor issue in 29 to 31% of the cycles; an issue waits 2.4 cycles for the instruction before, 0.9 to
//    1.1 for device memory, 0.8 for shared memory. A straight line through both gives 0.12 ms of products at D = 256 and
//    0.19 ms for the rest: forming the nodes, dividing and storing.
#pragma once

#include "nodes.h"

namespace hla::cuda {

template <int kTerms>
struct OutputShape {
  static constexpr int kStateWords = kTerms * kOutputRows * kPitch;              // 16-bit words: 8704 bytes a term
  static constexpr int kTileBytes = kStateWords * 2 + kOutputRows * 4;           // and the rows' pairs
  static constexpr int shared_bytes(int nodes) { return 2 * kTileBytes + nodes * (kOutputNodePitch * 4 + 4); }
};

template <typename T, int kTerms>
HLA_DEVICE void output_block(const OutputArgs& a, unsigned char* shared) {
  using Shape = OutputShape<kTerms>;
  const int thread = thread_index();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int quad = lane / 4;
  const int in_quad = lane % 4;

  int64_t rest = block_index();
  const int64_t token_tile = rest % a.token_tiles;
  rest /= a.token_tiles;
  const int column_tile = static_cast<int>(rest % a.column_tiles);
  const int64_t group = rest / a.column_tiles;
  const int64_t batch = group / a.heads;
  const int64_t head = group % a.heads;
  const int first_column = column_tile * kColumns;
  const int columns = a.width - first_column < kColumns ? a.width - first_column : kColumns;
  const int64_t block_token = token_tile * kOutputTokens;
  const int64_t first_token = block_token + warp * 32 + quad * 4;  // of this lane

  float* const nodes = reinterpret_cast<float*>(shared + 2 * Shape::kTileBytes);  // [node][kOutputNodePitch]
  int32_t* const codes = reinterpret_cast<int32_t*>(nodes + a.max_nodes * kOutputNodePitch);
  const uint16_t* const state =
      a.state + (group * a.column_tiles + column_tile) * a.output_tiles * static_cast<int64_t>(Shape::kStateWords);

  const auto copy_tile = [&](int tile) {
    unsigned char* const to = shared + tile % 2 * Shape::kTileBytes;
    const auto* from = reinterpret_cast<const unsigned char*>(state + static_cast<int64_t>(tile) * Shape::kStateWords);
    for (int i = thread * 16; i < Shape::kStateWords * 2; i += kThreads * 16) copy_later(to + i, from + i);
    if (thread < kOutputRows / 4) {
      copy_later(to + Shape::kStateWords * 2 + thread * 16, a.table.pairs + tile * kOutputRows + thread * 4);
    }
  };

  // The address that this lane gives to load_transposed: the row that stands at its place of the tensor core's order.
  const int place = lane % 16;
  const int row_of_place = place % 8 / 2 + 4 * (place % 2) + 8 * (place / 8);
  const int matrix_row = row_of_place * kPitch + lane / 16 * 8;
  const float* const lane_nodes = nodes + warp * 32 + quad * 4;
  const bool busy = block_token + warp * 32 < a.queries;

  float sums[kColumns / 8 + 1][2][4] = {};  // [fragment of columns][fragment of rows]
  // A tile's products; tiles with all columns have code of their own, as in the state pass.
  const auto multiply = [&](const uint16_t* terms, auto whole) {
    const auto* const pairs = reinterpret_cast<const uint32_t*>(terms + Shape::kStateWords);
#pragma unroll 1
    for (int step = 0; step < kOutputRows; step += 16) {
      float products[4][4];  // [row][token]
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint32_t pair = pairs[step + in_quad + 4 * i];
        const Float4 parent =
            *reinterpret_cast<const Float4*>(lane_nodes + static_cast<int>(pair & 0xffffu) * kOutputNodePitch);
        const Float4 leaf = *reinterpret_cast<const Float4*>(lane_nodes + static_cast<int>(pair >> 16) * kOutputNodePitch);
        products[i][0] = parent.x * leaf.x;
        products[i][1] = parent.y * leaf.y;
        products[i][2] = parent.z * leaf.z;
        products[i][3] = parent.w * leaf.w;
      }
      uint32_t rows[2][kTerms][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = 2 * m + i % 2;
          uint32_t split_row[kTerms];
          split<kTerms>(products[i / 2 * 2][token], products[i / 2 * 2 + 1][token], split_row);
#pragma unroll
          for (int j = 0; j < kTerms; ++j) rows[m][j][i] = split_row[j];
        }
      }
#pragma unroll
      for (int n = 0; n < kColumns / 16; ++n) {
        if (decltype(whole)::kValue || n * 16 < columns) {
          uint32_t operand[kTerms][4];
#pragma unroll
          for (int j = 0; j < kTerms; ++j) {
            load_transposed(operand[j], terms + (j * kOutputRows + step) * kPitch + matrix_row + n * 16);
          }
          multiply_terms(sums[2 * n], sums[2 * n + 1], rows, operand);
        }
      }
      uint32_t denominators[kTerms][2];
#pragma unroll
      for (int j = 0; j < kTerms; ++j) {
        load_transposed(denominators[j], terms + (j * kOutputRows + step + row_of_place) * kPitch + kColumns);
      }
      multiply_terms(sums[kColumns / 8], rows, denominators);
    }
  };

  copy_tile(0);
  int tile = 0;
  for (int s = 0; s < a.segments; ++s) {
    const Segment segment = a.table.segments[s];
    barrier();  // the segment before has been multiplied
    for (int i = thread; i < segment.node_count; i += kThreads) codes[i] = a.table.nodes[segment.first_node + i];
    barrier();
    const NodeTile<kOutputTokens, kOutputNodePitch> formed(
        codes, segment.node_count, a.table.lists, a.features.data,
        batch * a.features.batch_stride + head * a.features.head_stride, a.features.token_stride, a.feature_element);
#pragma unroll 4
    for (int piece = warp; piece < formed.pieces(); piece += kWarps) {
      formed.write(piece, formed.read(piece, block_token, a.queries), nodes);
    }

    const int last_tile = (segment.first_row + segment.row_count) / kOutputRows;
    for (; tile < last_tile; ++tile) {
      wait_for_copies();
      barrier();  // this tile is there, the tile before has been multiplied, the nodes are there
      if (tile + 1 < a.output_tiles) copy_tile(tile + 1);
      if (!busy) continue;
      const auto* const terms = reinterpret_cast<const uint16_t*>(shared + tile % 2 * Shape::kTileBytes);
      if (kTerms < 3 && columns == kColumns) {
        multiply(terms, Flag<true>());
      } else {
        multiply(terms, Flag<false>());
      }
    }
  }

  auto* const output = static_cast<typename T::Raw*>(const_cast<void*>(a.output.data)) + batch * a.output.batch_stride +
                       head * a.output.head_stride + first_column;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      // The denominator is in column 0 of its fragment, which the first lane of the four holds.
      const float denominator = shuffle(sums[kColumns / 8][m][2 * half], lane & ~3) + a.epsilon;
      const int64_t token = first_token + 2 * m + half;
      if (token >= a.queries) continue;
      typename T::Raw* const to = output + token * a.output.token_stride;
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n) {
        const int column = n * 8 + in_quad * 2;
        const float first = sums[n][m][2 * half] / denominator;
        const float second = sums[n][m][2 * half + 1] / denominator;
        if (a.paired && column + 1 < columns) {
          store_pair<T>(to + column, first, second);
        } else {
          if (column < columns) to[column] = T::round(first);
          if (column + 1 < columns) to[column + 1] = T::round(second);
        }
      }
    }
  }
}

}  // namespace hla::cuda
