// ai.hla::StreamingHadamardLinearAttention, version 1: the core operator over the keys of this call and of all calls before
// it, which a state stands for.
#pragma once

#include "core_node.h"

namespace hla {

template <typename Node>
class StreamingKernel : public CoreKernel<Node> {
 public:
  using Node::api;
  using Node::fail;
  static constexpr const char* kName = "StreamingHadamardLinearAttention";
  static constexpr size_t kInputs = 4;
  static constexpr size_t kState = 3;  // the input; the output of that name has number 1

  StreamingKernel(const ort::Api* table, const NodeInfo& node, ort::ElementType type) : CoreKernel<Node>(table, node, type) {}

  void compute(ort::KernelContext* context) const {
    Problem problem = this->attention(context);
    const Dims expected{problem.batch, problem.heads, this->plan().size(), problem.value_width + 1};
    if (problem.value_width == 0) throw std::invalid_argument(this->what() + "input value: expected a last dimension from 1, came 0");
    const Tensor before = optional_input(api(), context, kState);
    // A tensor without numbers, like none at all, is the state before the first token.
    if (before.data != nullptr && count(before.dims) != 0) {
      if (before.dims != expected) fail("state", to_string(expected) + " (D, the products of ranks and powers; dv + 1), or no numbers", before.dims);
      problem.state_in = static_cast<const float*>(before.data);
    }
    problem.state_out = static_cast<float*>(optional_output(api(), context, 1, expected).data);
    this->run(context, problem);
  }
};

// One of three types, with a state that is float whatever the type is.
template <typename Node>
TypedOp make_streaming_op(ort::ElementType type) {
  TypedOp op = make_typed_op_of_optional_float<StreamingKernel<Node>>(type);
  op.GetOutputTypeCount = [](const ort::CustomOp*) -> size_t { return 2; };
  op.GetOutputType = [](const ort::CustomOp* self, size_t i) {
    return i == 1 ? ort::kFloat : static_cast<const TypedOp*>(self)->type;
  };
  op.GetOutputCharacteristic = [](const ort::CustomOp*, size_t i) { return i == 1 ? ort::kOptional : ort::kRequired; };
  op.InferOutputShape = [](const ort::CustomOp*, ort::ShapeInferContext* context) {
    const ort::Api* api = shape_inference_api();
    return guard(api, [&] {
      infer_like(api, context, 0, 2);
      infer_state(api, context);
    });
  };
  return op;
}

template <typename Node>
std::vector<const ort::CustomOp*> streaming_typed_operators() {
  return typed_operators<make_streaming_op<Node>>();
}

}  // namespace hla
