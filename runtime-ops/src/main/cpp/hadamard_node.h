// What the core and the fused operator have in common on every device: attributes ranks, powers and epsilon, the messages,
// and the callbacks that differ in nothing but the kernel's class.
#pragma once

#include <cmath>
#include <memory>
#include <string>

#include "launcher.h"
#include "monomials.h"
#include "op_support.h"

namespace hla {

class HadamardNode {
 public:
  HadamardNode(const ort::Api* api, const NodeInfo& node, ort::ElementType type)
      : api_(api),
        what_(node.what()),
        element_(element_of(type)),
        plan_(make_plan(node)),
        epsilon_(node.real("epsilon")) {
    if (!std::isfinite(epsilon_)) node.fail("attribute epsilon: expected a finite number, came " + std::to_string(epsilon_));
  }

  const ort::Api* api() const { return api_; }
  int64_t features() const { return plan_.features(); }
  const std::string& what() const { return what_; }

  [[noreturn]] void fail(const char* input, const std::string& expected, const Dims& came) const {
    throw std::invalid_argument(what_ + "input " + input + ": expected " + expected + ", came " + to_string(came));
  }

  const MonomialPlan& plan() const { return plan_; }

 protected:
  // Fills in what the node knows.
  void complete(Problem& problem) const {
    problem.plan = &plan_;
    problem.element = element_;
    problem.epsilon = epsilon_;
  }

 private:
  static MonomialPlan make_plan(const NodeInfo& node) {
    const std::vector<int64_t> ranks = node.ints("ranks");
    const std::vector<int64_t> powers = node.ints("powers");
    try {
      return MonomialPlan(ranks, powers);
    } catch (const std::invalid_argument& e) {
      node.fail(e.what());
    }
  }

  const ort::Api* api_;
  std::string what_;
  Element element_;
  MonomialPlan plan_;
  float epsilon_;
};

struct TypedOp : ort::CustomOp {
  ort::ElementType type;
};

// An operator of one element type. OpKernel has kName, kInputs, kProvider, a constructor (api, node, type), api() and compute(context).
template <typename OpKernel>
TypedOp make_typed_op(ort::ElementType type) {
  TypedOp op{common_callbacks(), type};
  op.GetName = [](const ort::CustomOp*) { return OpKernel::kName; };
  op.GetExecutionProviderType = [](const ort::CustomOp*) { return OpKernel::kProvider; };
  op.GetInputTypeCount = [](const ort::CustomOp*) { return OpKernel::kInputs; };
  op.GetInputType = [](const ort::CustomOp* self, size_t) { return static_cast<const TypedOp*>(self)->type; };
  op.GetOutputType = [](const ort::CustomOp* self, size_t) { return static_cast<const TypedOp*>(self)->type; };
  op.CreateKernelV2 = [](const ort::CustomOp* self, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
    return guard(api, [&] {
      const NodeInfo node(api, info, OpKernel::kName);
      for_node(node.what(), [&] { *kernel = std::make_unique<OpKernel>(api, node, static_cast<const TypedOp*>(self)->type).release(); });
    });
  };
  op.KernelComputeV2 = [](void* kernel, ort::KernelContext* context) {
    const auto& self = *static_cast<const OpKernel*>(kernel);
    return guard(self.api(), [&] { for_node(self.what(), [&] { self.compute(context); }); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<OpKernel*>(kernel); };
  // Both operators: the query's shape with the value's width.
  op.InferOutputShape = [](const ort::CustomOp*, ort::ShapeInferContext* context) {
    const ort::Api* api = shape_inference_api();
    return guard(api, [&] { infer_like(api, context, 0, 2); });
  };
  return op;
}

// The same where the last input may be left out, and is float whatever the type is.
template <typename OpKernel>
TypedOp make_typed_op_of_optional_float(ort::ElementType type) {
  static constexpr size_t kLast = OpKernel::kInputs - 1;
  TypedOp op = make_typed_op<OpKernel>(type);
  op.GetInputType = [](const ort::CustomOp* self, size_t i) {
    return i == kLast ? ort::kFloat : static_cast<const TypedOp*>(self)->type;
  };
  op.GetInputCharacteristic = [](const ort::CustomOp*, size_t i) { return i == kLast ? ort::kOptional : ort::kRequired; };
  return op;
}

// The operators of the three types that `kMake` makes.
template <TypedOp (*kMake)(ort::ElementType)>
std::vector<const ort::CustomOp*> typed_operators() {
  static const TypedOp ops[] = {kMake(ort::kFloat), kMake(ort::kFloat16), kMake(ort::kBfloat16)};
  return {&ops[0], &ops[1], &ops[2]};
}

}  // namespace hla
