// A call as launches of the warpgroup kernels, for those calls that fit them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "call.h"
#include "row_tables.h"

namespace hla::cuda {

class WgmmaSchedule {
 public:
  // bfloat16 throughout, two factors of power 1, the first's rank a multiple of 8 and the second's 16 or 32, values of a
  // multiple of 8 columns up to 128, and rows of all tensors that begin at multiples of 16 bytes. A number is one term.
  static bool fits(const RowTables& tables, const CoreCall& call);

  // Of a call that fits.
  WgmmaSchedule(const RowTables& tables, const CoreCall& call, int multiprocessors);

  size_t workspace_bytes() const { return workspace_bytes_; }
  int chunks() const { return state_.chunks; }
  void run(Launcher& launcher, void* workspace) const;

 private:
  WgmmaStateArgs state_{};
  WgmmaReduceArgs reduce_{};
  WgmmaOutputArgs output_{};
  int64_t state_blocks_ = 0, reduce_blocks_ = 0, output_blocks_ = 0;
  int state_shared_ = 0, output_shared_ = 0;
  size_t state_offset_ = 0;
  size_t workspace_bytes_ = 0;
};

// Writes features in bfloat16 by the warpgroup kernel, where that fits: bfloat16, x's width a multiple of 32 up to 256, up to
// 64 features whose activations change at multiples of 8, rows that begin at multiples of 16 bytes. Else false, and nothing
// is launched.
bool run_wgmma_maps(Launcher& launcher, Element element, const Sizes& sizes, int64_t depth, int64_t features, const MapCall& call,
                    const Activations& activations, void* result, int multiprocessors);

}  // namespace hla::cuda
