// ai.hla::OperatorInfo, version 1: what this library is and which kernel it took, as JSON in UTF-8 bytes.
// An operator, so that any host of the runtime, in any language, can ask with a model of one node. The input is there
// because a node without any would be folded into a constant; its value is not read.
#include <cstring>

#include "cuda_plugin.h"
#include "isa.h"
#include "op_support.h"
#include "ops.h"

namespace hla {
namespace {

struct InfoKernel {
  const ort::Api* api;
};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string describe(const ort::Api* api) {
  const Selection& selection = selected_kernel();
  std::string json = "{\"library\":\"hla_ops\",\"version\":" + quoted(HLA_VERSION);
  json += ",\"device\":\"cpu\",\"instruction_set\":" + quoted(selection.kernel->name);
  json += ",\"kernel\":" + quoted(selection.kernel->description);
  json += ",\"reason\":" + quoted(selection.reason);
  json += ",\"cpus\":" + std::to_string(available_cpus());
  const CudaPlugin& cuda = cuda_plugin(api);
  json += ",\"cuda\":{\"plugin\":" + quoted(cuda.path) + ",\"kernels\":" + quoted(cuda.description);
  json += ",\"missing\":" + quoted(cuda.missing) + "}";
  json += ",\"variants\":[";
  bool first = true;
  for (const Variant& variant : variants()) {
    json += first ? "" : ",";
    first = false;
    json += "{\"instruction_set\":" + quoted(variant.name) + ",\"kernel\":" + quoted(variant.kernel->description) +
            ",\"lacks\":" + quoted(variant.lacks) + "}";
  }
  return json + "]}";
}

ort::Status* create(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo*, void** kernel) {
  return guard(api, [&] { *kernel = new InfoKernel{api}; });
}

ort::Status* compute(void* kernel, ort::KernelContext* context) {
  const ort::Api* api = static_cast<const InfoKernel*>(kernel)->api;
  return guard(api, [&] {
    const std::string json = describe(api);
    const Tensor result = output(api, context, 0, {static_cast<int64_t>(json.size())});
    std::memcpy(result.data, json.data(), json.size());
  });
}

ort::CustomOp make() {
  ort::CustomOp op = common_callbacks();
  op.GetName = [](const ort::CustomOp*) { return "OperatorInfo"; };
  op.GetInputTypeCount = [](const ort::CustomOp*) -> size_t { return 1; };
  op.GetInputType = [](const ort::CustomOp*, size_t) { return ort::kInt64; };
  op.GetOutputType = [](const ort::CustomOp*, size_t) { return ort::kUint8; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<InfoKernel*>(kernel); };
  return op;
}

}  // namespace

std::vector<const ort::CustomOp*> info_operators() {
  static const ort::CustomOp op = make();
  return {&op};
}

}  // namespace hla
