// One attention call: cuts the work into tasks, runs them on the caller's threads, and puts partial states together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel.h"
#include "monomials.h"

namespace hla {

// A tensor [batch, head, token, *] of any layout; strides in elements, the last axis dense.
struct View {
  void* data;
  int64_t batch_stride;
  int64_t head_stride;
  int64_t token_stride;
};

// A feature map for each head, weights [H][width][R] and biases [H][R], dense. Null weights: features are given.
struct Map {
  const void* weight;
  const void* bias;
  int64_t width;
  const std::vector<ActivationRun>* activations;
};

struct Problem {
  const MonomialPlan* plan;
  Element element;
  int64_t batch;
  int64_t heads;
  int64_t queries;      // N
  int64_t keys;         // M
  int64_t value_width;  // dv
  View query_features;  // or queries, where there is a map
  View key_features;    // or keys
  View value;
  View output;
  float epsilon;
  Map query_map;
  Map key_map;
  KeyMask key_mask;
  // States carried from call to call, dense [B][H][D][dv + 1] float32; null for none. What is in `state_in` counts as keys
  // that came before; `state_out` takes those and the keys of this call. The two may be one.
  const float* state_in;
  float* state_out;
};

// The caller's threads: calls task(data, i) once for every i below total, in any order, and returns when all are done.
class Parallel {
 public:
  virtual ~Parallel() = default;
  virtual void run(size_t total, void (*task)(void* data, size_t index), void* data) = 0;
};

// How a call is cut. It depends on the problem and the number of CPUs that this process may use, never on timing: the same
// call on the same machine gives the same bits. More CPUs may give other bits, as partial sums are cut elsewhere; both
// are within a few float32 roundings of the exact state.
struct Split {
  int64_t key_chunks;      // a head's keys are cut into this many; above 1, partial states are added in order
  int64_t query_chunks;    // a head's queries
  int64_t key_heads;       // so many heads, a divisor of their number, go through their keys together; no matter for the bits
  int64_t query_heads;     // the same for queries
  bool whole_heads;        // one task a head does both passes, its state still in cache
};
Split split(const Problem& problem, const Kernel& kernel, int64_t cpus);

// Throws std::bad_alloc.
void attend(const Kernel& kernel, const Problem& problem, int64_t cpus, Parallel& parallel);

// CPUs that this process may use.
int64_t available_cpus();

}  // namespace hla
