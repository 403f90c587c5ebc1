// The one symbol that this library exports. The runtime calls it for each SessionOptions that names the library.
#include <mutex>

#include "cuda_plugin.h"
#include "isa.h"
#include "op_support.h"
#include "ops.h"

namespace hla {
namespace {

// One domain for the life of the process: the sessions keep pointers to it, and it may stand in any number of options.
ort::CustomOpDomain* domain(const ort::Api* api) {
  static std::mutex mutex;
  static ort::CustomOpDomain* made = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (made != nullptr) return made;
  ort::CustomOpDomain* fresh = nullptr;
  check(api, ort::CreateCustomOpDomain::call(api, "ai.hla", &fresh));
  try {
    for (const auto& operators :
         {core_operators(), fused_operators(), streaming_operators(), info_operators(), peak_operators(), cuda_plugin(api).operators}) {
      for (const ort::CustomOp* op : operators) check(api, ort::CustomOpDomainAdd::call(api, fresh, op));
    }
  } catch (...) {
    ort::ReleaseCustomOpDomain::call(api, fresh);
    throw;
  }
  return made = fresh;
}

}  // namespace
}  // namespace hla

extern "C" __attribute__((visibility("default"))) hla::ort::Status* RegisterCustomOps(hla::ort::SessionOptions* options,
                                                                                      const hla::ort::ApiBase* base) {
  using namespace hla;
  const ort::Api* api = base->GetApi(ort::kApiVersion);
  if (api == nullptr) {
    // Older than 1.18: the first function of the table has been there since 1.0, so the reason can still be told.
    const ort::Api* oldest = base->GetApi(1);
    return oldest == nullptr ? nullptr
                             : ort::CreateStatus::call(oldest, ort::kFail,
                                                       "ai.hla: this library needs ONNX Runtime 1.18 or newer");
  }
  return guard(api, [&] {
    selected_kernel();
    set_shape_inference_api(api);
    check(api, ort::AddCustomOpDomain::call(api, options, domain(api)));
  });
}
