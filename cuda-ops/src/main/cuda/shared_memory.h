// Shared memory of a block, in bytes. Host code; the kernels' own layouts are checked against it where both are seen.
#pragma once

#include <algorithm>

#include "kernel_args.h"

namespace hla::cuda {

// The least that any target gives a block (compute capability 8.6, 8.9 and 12.0); 8.0, 9.0 and 10.0 give more.
constexpr int kSharedLimit = 99 * 1024;

// Terms that a value of the type needs to be exact.
constexpr int exact_terms(Element element) {
  return element == Element::kFloat32 ? 3 : element == Element::kFloat16 ? 2 : 1;
}
constexpr int state_shared_bytes(Element element, int terms, int nodes) {
  return std::min(exact_terms(element), terms) * kStateTokens * kPitch * 2 + nodes * (kStateNodePitch * 4 + 4);
}
constexpr int output_shared_bytes(int terms, int nodes) {
  return 2 * (terms * kOutputRows * kPitch * 2 + kOutputRows * 4) + nodes * (kOutputNodePitch * 4 + 4);
}
constexpr int map_shared_bytes(Element element) {
  return exact_terms(element) * (kMapTokens * kMapXPitch + kMapDepth * kMapWPitch) * 2;
}

static_assert(state_shared_bytes(Element::kFloat32, 3, 2 * kStateRows + 1) <= kSharedLimit, "fits every target");
static_assert(output_shared_bytes(3, kOutputNodes) <= kSharedLimit, "fits every target");
static_assert(map_shared_bytes(Element::kFloat32) <= kSharedLimit, "fits every target");

}  // namespace hla::cuda
