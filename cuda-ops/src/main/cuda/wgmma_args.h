// What the warpgroup kernels are given, and the sizes that host and device agree on. Plain data, seen by nvcc and by g++.
//
// They take two factors of power 1: row d of the state belongs to features d / second_rank of the first factor and
// d % second_rank of the second, D = first_rank * second_rank. Values have up to kBlockColumns or twice as many columns.
#pragma once

#include "kernel_args.h"

#ifdef __CUDACC__
#define HLA_SIZE __host__ __device__ constexpr int
#else
#define HLA_SIZE constexpr int
#endif

namespace hla::cuda {

constexpr int kGroupThreads = 256;   // of a block of either pass: two warpgroups
constexpr int kGroupWarps = kGroupThreads / 32;
constexpr int kBlockColumns = 64;    // columns whose 16-bit numbers fill the 128 bytes of a swizzled row
constexpr int kTileRows = 64;        // tokens of the state pass, rows of the state in the output pass, that are staged at a time
constexpr int kTileBlockBytes = kTileRows * 128;  // of kBlockColumns columns of a tile
constexpr int kTileOnesBytes = kTileRows * 16;    // of a state tile's denominators, with seven columns of zeros
constexpr int kStages = 4;            // of the output pass, whose state may go around in turns
constexpr int kStateStages = 6;       // of the state pass; they fit wherever the output pass's features do
constexpr int kStateAhead = 4;        // tiles on their way; a stage is filled again one tile after its last product
constexpr int kGroupStateRows = 256;   // rows of the state of one block of the state pass
constexpr int kGroupTokens = 256;      // tokens that a block of the output pass makes at a time
constexpr int kGroupReduceThreads = 256;

// Rows of features in shared memory: 16 bytes apart from a multiple of their size, so that eight rows meet different banks.
HLA_SIZE feature_pitch_bytes(int features) { return features * 2 + 16; }
HLA_SIZE state_tile_bytes(int columns) { return columns / kBlockColumns * kTileBlockBytes + kTileOnesBytes; }

HLA_SIZE wgmma_state_stage_bytes(int columns, int features) {
  return columns / kBlockColumns * kTileBlockBytes + kTileRows * feature_pitch_bytes(features);
}
// Rounded up to what the swizzled tiles are aligned to.
HLA_SIZE whole_kilobytes(int bytes) { return (bytes + 1023) / 1024 * 1024; }
HLA_SIZE wgmma_state_shared_bytes(int columns, int features) {
  return whole_kilobytes(kStateStages * whole_kilobytes(wgmma_state_stage_bytes(columns, features)) + 256);
}
HLA_SIZE wgmma_warp_features_bytes(int features) { return 2 * 16 * feature_pitch_bytes(features); }  // 32 tokens
HLA_SIZE wgmma_staging_bytes(int columns) { return 16 * (columns * 2 + 16); }                        // a warp's outputs
HLA_SIZE wgmma_output_shared_bytes(int columns, int features, int tiles) {
  return whole_kilobytes(tiles * state_tile_bytes(columns) +
                         kGroupWarps * (2 * wgmma_warp_features_bytes(features) + wgmma_staging_bytes(columns)));
}
HLA_SIZE wgmma_maps_shared_bytes(int depth) {
  return whole_kilobytes(depth * 128 + kGroupWarps * (2 * wgmma_warp_features_bytes(depth) + wgmma_staging_bytes(kBlockColumns)) +
                         kBlockColumns * 8);
}
constexpr int kHopperShared = 227 * 1024;

// partial = sum over a chunk's tokens of row(t) x [value(t), 1]
struct WgmmaStateArgs {
  Rows features;
  Rows value;
  int32_t heads;
  int32_t width;
  int32_t columns;  // width as the kernels round it up
  int32_t first_rank;
  int32_t second_rank;
  int32_t feature_pieces_log;  // of the next power of two from a token's pieces of eight features on
  int32_t row_blocks;
  int32_t chunks;
  int64_t keys;
  int64_t chunk_tokens;
  float* partial;  // [group][chunk][D][columns + 8], the denominator in column `columns`
};

// state = sum of the chunks' partial states in order
struct WgmmaReduceArgs {
  const float* partial;
  uint16_t* state;  // [group][tile of kTileRows] of state_tile_bytes(columns): columns swizzled, then the denominators
  int32_t rows;     // D
  int32_t columns;
  int32_t width;
  int32_t chunks;
};

// output(t) = row(t) . state / (row(t) . denominators + epsilon)
struct WgmmaOutputArgs {
  Rows features;
  Rows output;
  int32_t heads;
  int32_t width;
  int32_t columns;
  int32_t first_rank;
  int32_t second_rank;
  int32_t feature_pieces_log;
  int32_t resident;  // 1 where the whole state lies in shared memory
  int32_t parts;     // blocks of a head
  int32_t tiles;     // of kGroupTokens tokens of a head
  int64_t queries;
  const uint16_t* state;
  float epsilon;
};

// features = activation(x W + b), rounded to bfloat16; up to kBlockColumns features
struct WgmmaMapArgs {
  Rows x;
  const void* weight;  // [heads, depth, features]
  const void* bias;    // [heads, features]
  Activations activations;
  int32_t heads;
  int32_t depth;
  int32_t depth_pieces_log;  // of the next power of two from a token's pieces of eight columns on
  int32_t features;
  int32_t parts;  // blocks of a head
  int32_t tiles;  // of kGroupTokens tokens of a head
  int64_t tokens;
  uint16_t* result;  // [group][tokens][features]
};

}  // namespace hla::cuda
