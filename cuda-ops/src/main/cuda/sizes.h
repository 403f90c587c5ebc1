// Arithmetic on sizes that the schedules share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernel_args.h"

namespace hla::cuda {

constexpr int64_t kMaxBlocks = 0x7fffffff;
constexpr size_t kAlign = 256;  // of the workspace's parts
// Partial states, all together, unless one for each head is already more.
constexpr int64_t kMaxPartialBytes = int64_t{512} << 20;

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t blocks(int64_t count, const char* what) {
  if (count > kMaxBlocks) throw std::invalid_argument(std::string("more ") + what + " than one launch has blocks");
  return count;
}

inline int32_t small(int64_t value, const char* what) {
  if (value > kMaxBlocks) throw std::invalid_argument(std::string(what) + " is beyond the CUDA kernels: " + std::to_string(value));
  return static_cast<int32_t>(value);
}

inline int64_t bytes_of(Element element) { return element == Element::kFloat32 ? 4 : 2; }

// True where `bytes` at once may be read or written at any row and at any column that is a multiple of as many.
inline bool aligned(const Rows& rows, Element element, int64_t width, int64_t bytes) {
  const int64_t numbers = bytes / bytes_of(element);
  return reinterpret_cast<uintptr_t>(rows.data) % static_cast<uintptr_t>(bytes) == 0 && rows.batch_stride % numbers == 0 &&
         rows.head_stride % numbers == 0 && rows.token_stride % numbers == 0 && width % numbers == 0;
}

}  // namespace hla::cuda
