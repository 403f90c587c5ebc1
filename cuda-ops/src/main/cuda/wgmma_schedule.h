// A call as launches of the warpgroup kernels, for those calls that fit them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "call.h"
#include "row_tables.h"

namespace hla::cuda {

class WgmmaSchedule {
 public:
  // Nothing where the call does not fit: bfloat16 throughout, one term a number, two factors of power 1, the first's rank a
  // multiple of 8 and the second's 16 or 32, values of a multiple of 8 columns up to 128, and rows of all tensors that begin
  // at multiples of 16 bytes.
  static std::optional<WgmmaSchedule> of(const RowTables& tables, const CoreCall& call, int multiprocessors);

  size_t workspace_bytes() const { return workspace_bytes_; }
  int chunks() const { return state_.chunks; }
  void run(Launcher& launcher, void* workspace) const;

 private:
  WgmmaSchedule(const RowTables& tables, const CoreCall& call, int multiprocessors, int32_t columns, int output_shared,
                bool resident);

  WgmmaStateArgs state_{};
  WgmmaReduceArgs reduce_{};
  WgmmaOutputArgs output_{};
  int64_t state_blocks_ = 0, reduce_blocks_ = 0, output_blocks_ = 0;
  int state_shared_ = 0, output_shared_ = 0;
  size_t state_offset_ = 0;
  size_t workspace_bytes_ = 0;
};

}  // namespace hla::cuda
