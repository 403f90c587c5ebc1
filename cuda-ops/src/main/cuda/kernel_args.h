// What the kernels are given, and the tile sizes that host and device agree on. Plain data, seen by nvcc and by g++.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace hla::cuda {

constexpr int kThreads = 128;          // of every block: four warps
constexpr int kWarps = kThreads / 32;
constexpr int kColumns = 128;          // value columns of one block
constexpr int kPitch = kColumns + 8;   // one more fragment for the denominator; 272 bytes, so that ldmatrix meets no conflict
constexpr int kStateRows = 128;        // rows of the state that one block of the state pass holds: 32 a warp
constexpr int kStateTokens = 32;       // tokens that it stages at a time
constexpr int kStateNodePitch = 48;    // floats between two nodes of the state pass
constexpr int kOutputTokens = 128;     // tokens of one block of the output pass: 32 a warp
constexpr int kOutputRows = 32;        // rows of the state that it stages at a time
constexpr int kOutputNodePitch = 136;  // floats between two nodes of the output pass
constexpr int kOutputNodes = 64;       // a segment of the output pass has no more nodes than this
constexpr int kReduceRows = 8;         // rows of one block of the reduction
constexpr int kMapTokens = 128;        // tokens of one block of the feature maps
constexpr int kMapColumns = 64;        // features of one block
constexpr int kMapDepth = 32;          // columns of x staged at a time
constexpr int kMapXPitch = kMapDepth + 8;
constexpr int kMapWPitch = kMapColumns + 8;

// Rows of the Khatri-Rao matrix that are formed from the same nodes.
struct Segment {
  int32_t first_row;
  int32_t row_count;  // with the padding rows at the end, whose products are zero
  int32_t first_node;
  int32_t node_count;
};

// A node is a product of features of one token. Its code is the feature's index where it is one feature, else:
constexpr int32_t kZeroNode = -1;
constexpr int32_t kOneNode = -2;
constexpr int32_t kFirstLongNode = -3;  // kFirstLongNode - offset: lists[offset] features follow

struct Table {
  const Segment* segments;
  const int32_t* nodes;   // codes, each segment's one after the other
  const int32_t* lists;
  const uint32_t* pairs;  // a row is node[low 16 bits] * node[high 16 bits], numbered within its segment
};

// A tensor [batch, head, token, *] of any layout; strides in elements.
struct Rows {
  const void* data;
  int64_t batch_stride;
  int64_t head_stride;
  int64_t token_stride;
};

// partial = sum over a chunk's tokens of row(t) x [value(t), 1]
struct StateArgs {
  Table table;
  Rows features;
  Rows value;
  Element feature_element;
  bool aligned;  // eight values at a time may be read at once
  int32_t heads;
  int32_t width;
  int32_t rows;
  int32_t row_tiles;
  int32_t column_tiles;
  int32_t chunks;
  int64_t keys;
  int64_t chunk_tokens;
  float* partial;  // [group][chunk][column tile][row_tiles * kStateRows][kPitch], the denominator in column kColumns
};

// state = weights * sum of the chunks' partial states in order, as bfloat16 terms
struct ReduceArgs {
  const float* partial;
  const float* weights;  // or null
  uint16_t* state;       // [group][column tile][tile of kOutputRows][term][kOutputRows][kPitch]
  int32_t rows;
  int32_t row_tiles;
  int32_t output_tiles;
  int32_t column_tiles;
  int32_t chunks;
  int32_t width;
};

// output(t) = row(t) . state / (row(t) . denominators + epsilon)
struct OutputArgs {
  Table table;
  int32_t segments;
  int32_t max_nodes;
  Rows features;
  Rows output;
  Element feature_element;
  bool paired;  // two outputs at a time may be written at once
  int32_t heads;
  int32_t width;
  int32_t output_tiles;
  int32_t column_tiles;
  int32_t token_tiles;
  int64_t queries;
  const uint16_t* state;
  float epsilon;
};

struct ZeroArgs {
  Rows output;
  int32_t heads;
  int32_t width;
  int64_t queries;
};

// Features below ends[i] and from ends[i - 1] on take kinds[i].
struct Activations {
  int32_t count;
  int32_t ends[8];
  Activation kinds[8];
};

// features = activation(x W + b), masked, computed in float32
struct MapArgs {
  Rows x;
  const void* weight;  // [heads, depth, features]
  const void* bias;    // [heads, features]
  Activations activations;
  bool aligned_x;
  bool aligned_weight;
  int32_t heads;
  int32_t depth;
  int32_t features;
  int32_t token_tiles;
  int32_t column_tiles;
  int64_t tokens;
  KeyMask mask;
  void* result;    // [group][tokens][features], float32 or
  bool bfloat16;  // rounded to it
};

}  // namespace hla::cuda
