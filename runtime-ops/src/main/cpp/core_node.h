// ai.hla::HadamardLinearAttention, version 1: its checks, on whatever device Node runs.
#pragma once

#include "hadamard_node.h"

namespace hla {

template <typename Node>
class CoreKernel : public Node {
 public:
  using Node::api;
  using Node::fail;
  using Node::features;
  static constexpr const char* kName = "HadamardLinearAttention";
  static constexpr size_t kInputs = 3;

  CoreKernel(const ort::Api* table, const NodeInfo& node, ort::ElementType type) : Node(table, node, type) {
    for (size_t i = 0; i < kInputs; ++i) {
      const Dims stated = node.stated_input(i);
      if (!stated.empty()) check_input(i, stated);
    }
  }

  void compute(ort::KernelContext* context) const { this->run(context, attention(context)); }

 protected:
  // What the three inputs say; the output is allocated.
  Problem attention(ort::KernelContext* context) const {
    Tensor tensors[kInputs];
    for (size_t i = 0; i < kInputs; ++i) {
      tensors[i] = input(api(), context, i);
      check_input(i, tensors[i].dims);
    }
    const auto& [query, key, value] = tensors;
    const int64_t batch = query.dims[0];
    const int64_t heads = query.dims[1];
    const int64_t queries = query.dims[2];
    const int64_t keys = key.dims[2];
    const int64_t width = value.dims[3];
    const Dims key_expected{batch, heads, keys, features()};
    if (key.dims != key_expected) fail(kInputNames[1], to_string(key_expected) + " to fit query_features", key.dims);
    const Dims value_expected{batch, heads, keys, width};
    if (value.dims != value_expected) fail(kInputNames[2], to_string(value_expected) + " to fit key_features", value.dims);

    const Tensor result = output(api(), context, 0, {batch, heads, queries, width});
    Problem problem{};
    problem.batch = batch;
    problem.heads = heads;
    problem.queries = queries;
    problem.keys = keys;
    problem.value_width = width;
    problem.query_features = heads_first(query.data, heads, queries, features());
    problem.key_features = heads_first(key.data, heads, keys, features());
    problem.value = heads_first(value.data, heads, keys, width);
    problem.output = heads_first(result.data, heads, queries, width);
    return problem;
  }

 private:
  static constexpr const char* kInputNames[kInputs] = {"query_features", "key_features", "value"};

  // What can be said of one input alone; -1 is a dimension that is not known yet.
  void check_input(size_t i, const Dims& dims) const {
    static constexpr const char* kShapes[kInputs] = {"[B,H,N,R]", "[B,H,M,R]", "[B,H,M,dv]"};
    if (dims.size() != 4) fail(kInputNames[i], std::string("4 dimensions ") + kShapes[i], dims);
    if (i < 2 && dims[3] >= 0 && dims[3] != features()) {
      fail(kInputNames[i], "a last dimension of " + std::to_string(features()) + ", the sum of attribute ranks", dims);
    }
  }
};

}  // namespace hla
