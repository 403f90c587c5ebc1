// One attention call as launches: grids, shared memory, and the layout of the workspace. The same on a device and in the
// emulation; nothing here depends on timing, so the same call on the same device gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "call.h"
#include "row_tables.h"
#include "wgmma_schedule.h"

namespace hla::cuda {

// How many bfloat16 terms stand for a number.
//   float     3: 24 bits
//   float16   2: 16 bits
//   bfloat16  1 or 2. One is within the type's tolerance wherever a query meets many keys. A query all but orthogonal to
//             every one of a few keys (even powers of signed features) has a tiny denominator and would show the rounding
//             of the products: with fewer keys than this, where time hardly matters, two terms are taken.
constexpr int64_t kKeysForOneTerm = 512;
int terms_of(Element element, int64_t keys);

class CoreSchedule {
 public:
  // `words` is where the tables' words lie for the kernels. `warpgroups`: the device has Hopper's warpgroup products and the
  // calls that fit them shall take them. Throws std::invalid_argument where a size is beyond the kernels.
  CoreSchedule(const RowTables& tables, const int32_t* words, const CoreCall& call, int multiprocessors, int terms,
               bool warpgroups);

  size_t workspace_bytes() const { return workspace_bytes_; }
  int chunks() const { return by_warpgroups_ ? by_warpgroups_->chunks() : state_.chunks; }
  bool by_warpgroups() const { return by_warpgroups_.has_value(); }
  void run(Launcher& launcher, void* workspace) const;

 private:
  enum class Kind { kNothing, kZeros, kAttention };

  Kind kind_;
  std::optional<WgmmaSchedule> by_warpgroups_;  // instead of everything below
  Element element_;
  int terms_;
  StateArgs state_{};
  ReduceArgs reduce_{};
  OutputArgs output_{};
  ZeroArgs zero_{};
  int64_t state_blocks_ = 0, reduce_blocks_ = 0, output_blocks_ = 0, zero_blocks_ = 0;
  int state_shared_ = 0, output_shared_ = 0;
  size_t state_offset_ = 0;
  size_t workspace_bytes_ = 0;
};

// In which type the maps' features are best written: bfloat16 where the warpgroup kernels then take the call, else float32.
// `call` has no features yet, and sizes and other tensors as they will be.
Element mapped_element(const RowTables& tables, const CoreCall& call, int terms, bool warpgroups);
// Writes features [batch, heads, tokens, features] to `result`, in float32 or bfloat16.
void run_maps(Launcher& launcher, Element element, const Sizes& sizes, int64_t depth, int64_t features, const MapCall& call,
              const Activations& activations, Element result_element, void* result, int multiprocessors);
// The dense rows of such a result.
Rows map_rows(const void* result, int64_t heads, int64_t tokens, int64_t features);

}  // namespace hla::cuda
