// Nodes (products of one token's features) in shared memory: [node][token], float32.
#pragma once

#include "numbers.h"

namespace hla::cuda {

HLA_DEVICE float feature_at(const void* features, int64_t index, Element element) {
  if (element == Element::kFloat32) return static_cast<const float*>(features)[index];
  const uint16_t bits = static_cast<const uint16_t*>(features)[index];
  return element == Element::kFloat16 ? Float16::read(bits) : Bfloat16::read(bits);
}

// The node `code` of the token whose features begin `at`.
HLA_DEVICE float node_value(int32_t code, const int32_t* lists, const void* features, int64_t at, Element element) {
  if (code >= 0) return feature_at(features, at + code, element);
  if (code == kZeroNode) return 0.0f;
  if (code == kOneNode) return 1.0f;
  const int32_t* list = lists + (kFirstLongNode - code);
  const int32_t count = *list;
  float value = feature_at(features, at + list[1], element);
  for (int32_t i = 2; i <= count; ++i) value *= feature_at(features, at + list[i], element);
  return value;
}

// A block's work on nodes in pieces of 8 nodes by 4 tokens, one piece a warp at a time: the features of a token lie side by
// side, so a warp reads four short runs instead of 32 lines, and its lanes write to banks that differ for most of them.
template <int kTokens, int kNodePitch>
class NodeTile {
 public:
  HLA_DEVICE NodeTile(const int32_t* codes, int count, const int32_t* lists, const void* features, int64_t origin,
                      int64_t token_stride, Element element)
      : codes_(codes), count_(count), lists_(lists), features_(features), origin_(origin), token_stride_(token_stride),
        element_(element), node_(thread_index() % 8), token_(thread_index() % 32 / 8) {}

  HLA_DEVICE int pieces() const { return (count_ + 7) / 8 * (kTokens / 4); }

  // Zero for the tokens from `end` on.
  HLA_DEVICE float read(int piece, int64_t begin, int64_t end) const {
    const int node = piece / (kTokens / 4) * 8 + node_;
    const int64_t token = begin + piece % (kTokens / 4) * 4 + token_;
    if (node >= count_ || token >= end) return 0.0f;
    return node_value(codes_[node], lists_, features_, origin_ + token * token_stride_, element_);
  }

  HLA_DEVICE void write(int piece, float value, float* nodes) const {
    const int node = piece / (kTokens / 4) * 8 + node_;
    if (node < count_) nodes[node * kNodePitch + piece % (kTokens / 4) * 4 + token_] = value;
  }

 private:
  const int32_t* codes_;
  int count_;
  const int32_t* lists_;
  const void* features_;
  int64_t origin_;
  int64_t token_stride_;
  Element element_;
  int node_;
  int token_;
};

}  // namespace hla::cuda
