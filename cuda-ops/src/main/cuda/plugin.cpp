// The one symbol of libhla_ops_cuda.so: the operator library beside it asks for the operators and adds them to its domain.
#include "core_node.h"
#include "cuda_node.h"
#include "cuda_plugin.h"
#include "fused_node.h"
#include "launcher.h"
#include "options.h"

namespace hla::cuda {
namespace {

constexpr const char* kDescription =
    "bfloat16 tensor-core products (float as 3 terms, float16 as 2, bfloat16 as 1 or 2), float32 sums; built for " HLA_CUDA_TARGETS;

void answer_to(uint32_t version, const ort::Api* api, CudaAnswer& answer) {
  static std::string missing, description;
  static std::vector<const ort::CustomOp*> operators;
  if (version != kCudaPluginVersion) {
    answer.missing = "it is of another version than the operator library";
    return;
  }
  const Probe found = probe();
  if (found.devices == 0) {
    missing = found.reason;
    answer.missing = missing.c_str();
    return;
  }
  set_shape_inference_api(api);
  for (const auto& of_one_name : {typed_operators<make_typed_op<CoreKernel<CudaNode>>>(), fused_typed_operators<CudaNode>()}) {
    operators.insert(operators.end(), of_one_name.begin(), of_one_name.end());
  }
  answer.operators = operators.data();
  answer.count = operators.size();
  description = kDescription;
  if (warpgroups_wanted()) description += "; warpgroup kernels wanted (HLA_CUDA_WGMMA=1)";
  answer.description = description.c_str();
}

}  // namespace
}  // namespace hla::cuda

extern "C" __attribute__((visibility("default"))) void hla_cuda_operators(uint32_t version, const hla::ort::Api* api,
                                                                          hla::CudaAnswer* answer) {
  *answer = {};
  try {
    hla::cuda::answer_to(version, api, *answer);
  } catch (const std::invalid_argument& e) {
    static std::string reason;
    reason = e.what();
    *answer = {};
    answer->missing = reason.c_str();
  } catch (...) {
    *answer = {};
    answer->missing = "it failed while it looked for devices";
  }
}
