// ai.hla::HadamardLinearAttention, version 1: the struct that the runtime sees, and its checks.
#include <atomic>
#include <memory>

#include "isa.h"
#include "launcher.h"
#include "monomials.h"
#include "op_support.h"
#include "ops.h"

namespace hla {
namespace {

constexpr const char* kName = "HadamardLinearAttention";
constexpr size_t kInputs = 3;
constexpr const char* kInputNames[kInputs] = {"query_features", "key_features", "value"};

std::atomic<const ort::Api*> shape_inference_api{nullptr};

struct CoreOp : ort::CustomOp {
  ort::ElementType type;
};

MonomialPlan make_plan(const NodeInfo& node) {
  const std::vector<int64_t> ranks = node.ints("ranks");
  const std::vector<int64_t> powers = node.ints("powers");
  try {
    return MonomialPlan(ranks, powers);
  } catch (const std::invalid_argument& e) {
    node.fail(e.what());
  }
}

class CoreKernel {
 public:
  CoreKernel(const ort::Api* api, const NodeInfo& node, ort::ElementType type)
      : api_(api),
        what_(node.what()),
        element_(element_of(type)),
        plan_(make_plan(node)),
        epsilon_(node.real("epsilon")),
        kernel_(*selected_kernel().kernel) {
    for (size_t i = 0; i < kInputs; ++i) {
      const Dims stated = node.stated_input(i);
      if (stated.empty()) continue;
      if (stated.size() != 4) fail_input(i, i < 2 ? "4 dimensions [B,H,tokens,R]" : "4 dimensions [B,H,M,dv]", stated);
      if (i < 2 && stated[3] >= 0 && stated[3] != plan_.features()) fail_width(i, stated);
    }
  }

  void compute(ort::KernelContext* context) const {
    const Tensor query = input(api_, context, 0);
    const Tensor key = input(api_, context, 1);
    const Tensor value = input(api_, context, 2);
    if (query.dims.size() != 4) fail_input(0, "4 dimensions [B,H,N,R]", query.dims);
    if (key.dims.size() != 4) fail_input(1, "4 dimensions [B,H,M,R]", key.dims);
    if (value.dims.size() != 4) fail_input(2, "4 dimensions [B,H,M,dv]", value.dims);
    const int64_t batch = query.dims[0];
    const int64_t heads = query.dims[1];
    const int64_t queries = query.dims[2];
    const int64_t keys = key.dims[2];
    const int64_t width = value.dims[3];
    const int64_t features = plan_.features();
    if (query.dims[3] != features) fail_width(0, query.dims);
    const Dims key_expected{batch, heads, keys, features};
    if (key.dims != key_expected) fail_input(1, to_string(key_expected) + " to fit query_features", key.dims);
    const Dims value_expected{batch, heads, keys, width};
    if (value.dims != value_expected) fail_input(2, to_string(value_expected) + " to fit key_features", value.dims);

    const Tensor result = output(api_, context, 0, {batch, heads, queries, width});
    const auto dense = [heads](const Tensor& tensor, int64_t tokens, int64_t last) {
      return View{tensor.data, heads * tokens * last, tokens * last, last};
    };
    const Problem problem{&plan_,
                          element_,
                          batch,
                          heads,
                          queries,
                          keys,
                          width,
                          dense(query, queries, features),
                          dense(key, keys, features),
                          dense(value, keys, width),
                          dense(result, queries, width),
                          epsilon_};
    SessionThreads threads(api_, context);
    attend(kernel_, problem, available_cpus(), threads);
  }

  const ort::Api* api() const { return api_; }

 private:
  [[noreturn]] void fail_input(size_t index, const std::string& expected, const Dims& came) const {
    throw std::invalid_argument(what_ + "input " + kInputNames[index] + ": expected " + expected + ", came " +
                                to_string(came));
  }
  [[noreturn]] void fail_width(size_t index, const Dims& came) const {
    fail_input(index, "a last dimension of " + std::to_string(plan_.features()) + ", the sum of attribute ranks", came);
  }

  const ort::Api* api_;
  std::string what_;
  Element element_;
  MonomialPlan plan_;
  float epsilon_;
  const Kernel& kernel_;
};

ort::Status* create(const ort::CustomOp* op, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
  return guard(api, [&] {
    const NodeInfo node(api, info, kName);
    *kernel = std::make_unique<CoreKernel>(api, node, static_cast<const CoreOp*>(op)->type).release();
  });
}

ort::Status* compute(void* kernel, ort::KernelContext* context) {
  const auto& self = *static_cast<const CoreKernel*>(kernel);
  return guard(self.api(), [&] { self.compute(context); });
}

ort::Status* infer(const ort::CustomOp*, ort::ShapeInferContext* context) {
  const ort::Api* api = shape_inference_api;
  return guard(api, [&] { infer_like(api, context, 0, 2); });
}

CoreOp make(ort::ElementType type) {
  CoreOp op{common_callbacks(), type};
  op.GetName = [](const ort::CustomOp*) { return kName; };
  op.GetInputTypeCount = [](const ort::CustomOp*) { return kInputs; };
  op.GetInputType = [](const ort::CustomOp* self, size_t) { return static_cast<const CoreOp*>(self)->type; };
  op.GetOutputType = [](const ort::CustomOp* self, size_t) { return static_cast<const CoreOp*>(self)->type; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<CoreKernel*>(kernel); };
  op.InferOutputShape = infer;
  return op;
}

}  // namespace

void set_shape_inference_api(const ort::Api* api) { shape_inference_api = api; }

std::vector<const ort::CustomOp*> core_operators() {
  static const CoreOp ops[] = {make(ort::kFloat), make(ort::kFloat16), make(ort::kBfloat16)};
  return {&ops[0], &ops[1], &ops[2]};
}

}  // namespace hla
