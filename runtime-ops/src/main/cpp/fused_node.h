// ai.hla::FusedHadamardLinearAttention, version 1: feature maps and attention in one node, on queries, keys and values as
// the projections leave them.
//
// layout BHND: tensors [B,H,tokens,width]. BNHD: [B,tokens,H,width], or packed [B,tokens,H*width] with num_heads.
// Each of query, key and value may be packed or not; the output is as the query. Attribute activations is one string,
// such as "softplus,identity". The optional last input is float whatever the type is.
#pragma once

#include "hadamard_node.h"

namespace hla {

template <typename Node>
class FusedKernel : public Node {
 public:
  using Node::api;
  using Node::fail;
  using Node::features;
  static constexpr const char* kName = "FusedHadamardLinearAttention";
  static constexpr size_t kInputs = 8;
  static constexpr size_t kMask = 7;

  FusedKernel(const ort::Api* table, const NodeInfo& node, ort::ElementType type)
      : Node(table, node, type), tokens_first_(read_layout(node)), activations_(read_activations(node)) {
    if (node.integer("num_heads", heads_) && heads_ < 1) {
      node.fail("attribute num_heads: expected a number from 1, came " + std::to_string(heads_));
    }
    for (int64_t power : node.ints("powers")) degree_ += power;
    for (size_t i = 0; i < kMask; ++i) {
      const Dims stated = node.stated_input(i);
      if (!stated.empty()) check_rank(i, stated);
    }
  }

  void compute(ort::KernelContext* context) const {
    Tensor tensors[kMask];
    for (size_t i = 0; i < kMask; ++i) {
      tensors[i] = input(api(), context, i);
      check_rank(i, tensors[i].dims);
    }
    const auto& [query, key, value, query_weight, query_bias, key_weight, key_bias] = tensors;
    const Sizes q = sizes(0, query.dims);
    const Sizes k = sizes(1, key.dims);
    const Sizes v = sizes(2, value.dims);
    if (k.batch != q.batch || k.heads != q.heads) {
      fail(kInputNames[1], "the batch and heads of query " + to_string(query.dims), key.dims);
    }
    if (v.batch != k.batch || v.heads != k.heads || v.tokens != k.tokens) {
      fail(kInputNames[2], "the batch, heads and tokens of key " + to_string(key.dims), value.dims);
    }
    expect(3, query_weight.dims, {q.heads, q.width, features()});
    expect(4, query_bias.dims, {q.heads, features()});
    expect(5, key_weight.dims, {q.heads, k.width, features()});
    expect(6, key_bias.dims, {q.heads, features()});
    const Tensor mask = optional_input(api(), context, kMask);
    const Dims& mask_dims = mask.dims;
    if (mask.there && (mask_dims.size() != 2 || (mask_dims[0] != 1 && mask_dims[0] != k.batch) || (mask_dims[1] != 1 && mask_dims[1] != k.tokens))) {
      fail(kInputNames[kMask], to_string({k.batch, k.tokens}) + ", or 1 in place of a size, to fit key", mask_dims);
    }

    Dims out = query.dims;
    out.back() = query.dims.size() == 3 ? q.heads * v.width : v.width;
    const Tensor result = output(api(), context, 0, out);
    Problem problem{};
    problem.batch = q.batch;
    problem.heads = q.heads;
    problem.queries = q.tokens;
    problem.keys = k.tokens;
    problem.value_width = v.width;
    problem.query_features = view(query.data, q);
    problem.key_features = view(key.data, k);
    problem.value = view(value.data, v);
    problem.output = view(result.data, {q.batch, q.heads, q.tokens, v.width});
    problem.query_map = {query_weight.data, query_bias.data, q.width, &activations_};
    problem.key_map = {key_weight.data, key_bias.data, k.width, &activations_};
    if (mask.there) {
      problem.key_mask = {static_cast<const float*>(mask.data), mask_dims[0] == 1 ? 0 : mask_dims[1], mask_dims[1] == 1 ? 0 : 1,
                          1.0f / static_cast<float>(degree_)};
    }
    this->run(context, problem);
  }

 private:
  struct Sizes {
    int64_t batch, heads, tokens, width;
  };

  static constexpr const char* kInputNames[kInputs] = {"query",      "key",        "value",   "query_weight",
                                                       "query_bias", "key_weight", "key_bias", "key_mask"};

  static bool read_layout(const NodeInfo& node) {
    const std::string layout = node.text("layout");
    if (layout != "BHND" && layout != "BNHD") node.fail("attribute layout: expected BHND or BNHD, came " + layout);
    return layout == "BNHD";
  }

  // One activation for each factor, in one string with commas: kernels could not read a list of strings before
  // ONNX Runtime 1.25.
  static std::vector<ActivationRun> read_activations(const NodeInfo& node) {
    const std::string text = node.text("activations");
    std::vector<std::string> names;
    for (size_t at = 0; at <= text.size(); at += names.back().size() + 1) {
      names.push_back(text.substr(at, text.find(',', at) - at));
    }
    const std::vector<int64_t> ranks = node.ints("ranks");
    if (names.size() != ranks.size()) {
      node.fail("attribute activations: expected " + std::to_string(ranks.size()) +
                " names with commas between, one for each of ranks, came '" + text + "'");
    }
    std::vector<ActivationRun> runs;
    int64_t first = 0;
    for (size_t f = 0; f < names.size(); ++f) {
      runs.push_back({first, ranks[f], activation(node, names[f])});
      first += ranks[f];
    }
    return runs;
  }

  static Activation activation(const NodeInfo& node, const std::string& name) {
    if (name == "identity") return Activation::kIdentity;
    if (name == "softplus") return Activation::kSoftplus;
    if (name == "relu") return Activation::kRelu;
    if (name == "exp") return Activation::kExp;
    node.fail("attribute activations: expected identity, softplus, relu or exp, came '" + name + "'");
  }

  void check_rank(size_t i, const Dims& dims) const {
    if (i < 2 && !dims.empty() && dims.back() == 0) fail(kInputNames[i], "a last dimension from 1", dims);
    if (i > 2) {
      const bool weight = i % 2 == 1;
      if (dims.size() != (weight ? 3u : 2u)) {
        fail(kInputNames[i], weight ? "3 dimensions [H,d,R]" : "2 dimensions [H,R]", dims);
      }
    } else if (!tokens_first_) {
      if (dims.size() != 4) fail(kInputNames[i], "4 dimensions [B,H,tokens,width], as layout is BHND", dims);
    } else if (dims.size() == 3) {
      if (heads_ == 0) fail(kInputNames[i], "attribute num_heads with packed rows [B,tokens,H*width]", dims);
    } else if (dims.size() != 4) {
      fail(kInputNames[i], "4 dimensions [B,tokens,H,width] or 3 [B,tokens,H*width], as layout is BNHD", dims);
    }
  }

  Sizes sizes(size_t i, const Dims& dims) const {
    if (dims.size() == 3) {
      if (dims[2] % heads_ != 0) {
        fail(kInputNames[i], "a last dimension divisible by num_heads " + std::to_string(heads_), dims);
      }
      return {dims[0], heads_, dims[1], dims[2] / heads_};
    }
    const Sizes s = tokens_first_ ? Sizes{dims[0], dims[2], dims[1], dims[3]} : Sizes{dims[0], dims[1], dims[2], dims[3]};
    if (heads_ != 0 && s.heads != heads_) fail(kInputNames[i], std::to_string(heads_) + " heads, as num_heads says", dims);
    return s;
  }

  View view(void* data, const Sizes& s) const {
    return tokens_first_ ? hla::tokens_first(data, s.heads, s.tokens, s.width)
                         : heads_first(data, s.heads, s.tokens, s.width);
  }

  void expect(size_t i, const Dims& came, const Dims& expected) const {
    if (came != expected) fail(kInputNames[i], to_string(expected) + " to fit the tokens and attribute ranks", came);
  }

  bool tokens_first_;
  std::vector<ActivationRun> activations_;
  int64_t heads_ = 0;   // attribute num_heads, 0 where there is none
  int64_t degree_ = 0;  // sum of powers: how often a key's features stand in a weight
};

template <typename Node>
std::vector<const ort::CustomOp*> fused_typed_operators() {
  return typed_operators<make_typed_op_of_optional_float<FusedKernel<Node>>>();
}

}  // namespace hla
