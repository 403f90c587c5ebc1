// One attention call as a schedule sees it, and the launches that it is made of.
#pragma once

#include <cstdint>

#include "kernel_args.h"
#include "wgmma_args.h"

namespace hla::cuda {

// The maps of one side of the fused operator.
struct MapCall {
  Rows x;
  int64_t tokens;
  const void* weight;
  const void* bias;
  KeyMask mask;  // of the keys' side
};

// Runs kernels in order.
class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual void state(Element element, int terms, int64_t blocks, int shared, const StateArgs& args) = 0;
  virtual void reduce(int terms, int64_t blocks, const ReduceArgs& args) = 0;
  virtual void output(Element element, int terms, int64_t blocks, int shared, const OutputArgs& args) = 0;
  virtual void zero(Element element, int64_t blocks, const ZeroArgs& args) = 0;
  virtual void maps(Element element, int64_t blocks, int shared, const MapArgs& args) = 0;
  virtual void wgmma_state(int64_t blocks, int shared, const WgmmaStateArgs& args) = 0;
  virtual void wgmma_reduce(int64_t blocks, const WgmmaReduceArgs& args) = 0;
  virtual void wgmma_output(int64_t blocks, int shared, const WgmmaOutputArgs& args) = 0;
  virtual void wgmma_maps(int64_t blocks, int shared, const WgmmaMapArgs& args) = 0;
};

struct Sizes {
  int64_t batch;
  int64_t heads;
  int64_t queries;
  int64_t keys;
  int64_t width;
};

struct CoreCall {
  Sizes sizes;
  Element element;          // of value and output
  Element feature_element;  // of the features: `element`, or float32 where the maps ran here
  Rows query_features;
  Rows key_features;
  Rows value;
  Rows output;
  float epsilon;
};

}  // namespace hla::cuda
