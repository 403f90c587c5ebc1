// The CUDA kernels, which live in a library of their own beside this one, so that this one loads where there is no driver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ort_abi.h"

namespace hla {

struct CudaPlugin {
  std::string path;         // where it is, or would be
  std::vector<const ort::CustomOp*> operators;
  std::string description;  // of its kernels, empty where it stays out
  std::string missing;      // why it stays out
};

// Opened at the first call; where a plugin is there but cannot be used, that call prints one warning.
const CudaPlugin& cuda_plugin(const ort::Api* api);

// What the plugin is asked and answers. Its one symbol is hla_cuda_operators, of type CudaEntry.
struct CudaAnswer {
  const ort::CustomOp* const* operators;
  uint64_t count;
  const char* description;
  const char* missing;  // null where the operators can run
};
constexpr uint32_t kCudaPluginVersion = 1;  // grows with any change of this struct or of the operators' structs
using CudaEntry = void (*)(uint32_t version, const ort::Api* api, CudaAnswer* answer);

}  // namespace hla
