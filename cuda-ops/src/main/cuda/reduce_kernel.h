// Between the passes: the chunks' partial states are added in order, weighted by the multinomial counts, and written as
// the bfloat16 terms that the output pass multiplies by, padding included, in the order in which it reads them.
//
// On an H100 (12 heads, width 128): 17 us at D = 256 at 32% of the memory's peak, 24 us at D = 1024 at 71%.
// ptxas for sm_90: 34 registers with one or two terms, 39 with three, no spills.
#pragma once

#include "numbers.h"

namespace hla::cuda {

template <int kTerms>
HLA_DEVICE void reduce_block(const ReduceArgs& a) {
  const int row_blocks = a.output_tiles * (kOutputRows / kReduceRows);
  const int64_t tile = block_index() / row_blocks;  // group and column tile
  const int first_row = static_cast<int>(block_index() % row_blocks) * kReduceRows;
  const int64_t group = tile / a.column_tiles;
  const int column_tile = static_cast<int>(tile % a.column_tiles);
  const int columns = a.width - column_tile * kColumns;
  const int64_t padded_rows = static_cast<int64_t>(a.row_tiles) * kStateRows;
  const int64_t chunk_stride = a.column_tiles * padded_rows * kPitch;
  const float* const partial = a.partial + (group * a.chunks * a.column_tiles + column_tile) * padded_rows * kPitch;
  uint16_t* const state =
      a.state + (tile * a.output_tiles + first_row / kOutputRows) * kTerms * kOutputRows * kPitch;

  for (int i = thread_index(); i < kReduceRows * kPitch / 2; i += kThreads) {
    const int row = first_row + i / (kPitch / 2);
    const int column = i % (kPitch / 2) * 2;
    float sum[2] = {};
    for (int c = 0; c < 2; ++c) {
      const bool used = column + c < kColumns ? column + c < columns : column + c == kColumns;
      if (row >= a.rows || !used) continue;
      const float* from = partial + static_cast<int64_t>(row) * kPitch + column + c;
      for (int chunk = 0; chunk < a.chunks; ++chunk) sum[c] += from[chunk * chunk_stride];
      if (a.weights != nullptr) sum[c] *= a.weights[row];
    }
    uint32_t terms[kTerms];
    split<kTerms>(sum[0], sum[1], terms);
    for (int j = 0; j < kTerms; ++j) {
      *reinterpret_cast<uint32_t*>(state + (j * kOutputRows + row % kOutputRows) * kPitch + column) = terms[j];
    }
  }
}

// No keys: zeros, whatever the queries hold.
template <typename T>
HLA_DEVICE void zero_block(const ZeroArgs& a) {
  const int64_t group = block_index() / a.queries;
  const int64_t token = block_index() % a.queries;
  auto* to = static_cast<typename T::Raw*>(const_cast<void*>(a.output.data)) + group / a.heads * a.output.batch_stride +
             group % a.heads * a.output.head_stride + token * a.output.token_stride;
  for (int i = thread_index(); i < a.width; i += kThreads) to[i] = T::round(0.0f);
}

}  // namespace hla::cuda
