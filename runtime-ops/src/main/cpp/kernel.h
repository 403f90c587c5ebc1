// What a kernel is given and what it offers, the same for every instruction set. Plain data only: the kernels' files are
// compiled with wider instruction sets than the rest of the library, and an inline function of the C++ library that the
// linker took from one of them would end the process on an older CPU.
#pragma once

#include <cstdint>

namespace hla {

enum class Element : int { kFloat32, kFloat16, kBfloat16 };

// `count` consecutive products: node[parent] * node[leaf + i] becomes node (or row) first + i.
struct Run {
  int32_t first;
  int32_t parent;
  int32_t leaf;
  int32_t count;
};

struct PlanView {
  int64_t features;      // R
  int64_t nodes;         // 1 + R + products inside
  int64_t size;          // D, the rows of the state
  const Run* inner;      // products inside, in order
  int64_t inner_count;
  const Run* rows;       // the D rows, in order
  int64_t row_count;
  const float* weights;  // [D] multinomial counts, or null where all are 1
};

// Tokens' rows in memory: row t of head h begins `t * stride + h * head_stride` elements after data.
struct ConstRows {
  const void* data;
  int64_t stride;
  int64_t head_stride;
};
struct MutableRows {
  void* data;
  int64_t stride;
  int64_t head_stride;
};

enum class Activation : int { kIdentity, kSoftplus, kRelu, kExp };

// Features [first, first + count) take this activation.
struct ActivationRun {
  int64_t first;
  int64_t count;
  Activation kind;
};

// Features are computed from rows of `width` numbers x: activation(x W + b). Where weight is null, features are given.
struct FeatureMap {
  const void* weight;  // [heads][width][R]
  const void* bias;    // [heads][R]
  int64_t width;
  const ActivationRun* activations;
  int64_t activation_count;
};

// What is added to the logarithms of keys' weights, as a softmax mask is added to scores: each feature of a key carries the
// factor exp(number * share), where share is 1 over the degree in which features make a weight. Null: nothing.
struct KeyMask {
  const float* data;
  int64_t batch_stride;  // 0 where one row is for all batch entries
  int64_t token_stride;  // 0 where one number is for all tokens
  float share;
};

// Adds nothing, overwrites: state = sum over tokens of row(t) x [value(t), 1], weights applied. Of several heads, which take
// turns every hundred tokens or so: for rows that hold the heads side by side.
struct StateJob {
  PlanView plan;
  Element element;
  int64_t heads;
  int64_t tokens;
  int64_t value_width;  // dv
  ConstRows features;  // or x, where there is a map
  FeatureMap map;
  KeyMask mask;  // from this batch entry and its first token on
  ConstRows value;
  float* state;
  int64_t state_stride;  // floats from one head's state to the next
  void* scratch;
};

// output(t) = row(t) . state numerators / (row(t) . state denominators + epsilon)
struct OutputJob {
  PlanView plan;
  Element element;
  int64_t heads;
  int64_t tokens;
  int64_t value_width;
  ConstRows features;  // or x, where there is a map
  FeatureMap map;
  MutableRows output;
  float epsilon;
  const float* state;
  int64_t state_stride;
  void* scratch;
};

struct Kernel {
  const char* name;         // avx512, avx2, baseline
  const char* description;  // tile shapes, for people
  int64_t output_step;      // the output pass is at its best on a multiple of this many tokens
  int64_t (*state_floats)(int64_t size, int64_t value_width);
  // For jobs of so many heads; map_width 0: no map.
  int64_t (*scratch_floats)(const PlanView& plan, int64_t value_width, int64_t map_width, int64_t heads);
  void (*state)(const StateJob& job);
  void (*output)(const OutputJob& job);
  void (*add)(float* into, const float* from, int64_t count);
  // Between a state as it lies in memory here and one carried from call to call, dense [D][dv + 1]: adds that to this, and
  // copies this to that.
  void (*add_carried)(float* state, const float* carried, int64_t size, int64_t value_width);
  void (*copy_carried)(const float* state, float* carried, int64_t size, int64_t value_width);
  // Runs `rounds` of independent multiply-adds on registers alone and returns their FLOPs: the peak to compare with.
  double (*peak)(int64_t rounds, float* sink);
};

// Null where the build left the variant out.
const Kernel* avx512_kernel();
const Kernel* avx2_kernel();
const Kernel* baseline_kernel();

// Every buffer handed to a kernel begins at a multiple of this.
constexpr int64_t kAlignment = 64;

}  // namespace hla
