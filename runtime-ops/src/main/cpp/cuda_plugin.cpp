#include "cuda_plugin.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

namespace hla {
namespace {

constexpr const char* kFileName = "libhla_ops_cuda.so";

std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

CudaPlugin open_plugin(const ort::Api* api) {
  CudaPlugin plugin;
  plugin.path = own_folder() + kFileName;
  if (access(plugin.path.c_str(), F_OK) != 0) {
    plugin.missing = std::string("no ") + kFileName + " beside the operator library";
    return plugin;  // an installation for the CPU: nothing to warn of
  }
  CudaAnswer answer{};
  // Never closed: the sessions keep pointers into it.
  void* library = dlopen(plugin.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  auto* const entry = library == nullptr ? nullptr : reinterpret_cast<CudaEntry>(dlsym(library, "hla_cuda_operators"));
  if (entry == nullptr) {
    const char* error = dlerror();
    plugin.missing = error != nullptr ? error : "it has no operators";
  } else {
    entry(kCudaPluginVersion, api, &answer);
    if (answer.missing != nullptr) plugin.missing = answer.missing;
  }
  if (plugin.missing.empty()) {
    plugin.operators.assign(answer.operators, answer.operators + answer.count);
    plugin.description = answer.description;
  } else {
    std::fprintf(stderr, "hla: the CUDA kernels stay out: %s (%s)\n", plugin.missing.c_str(), plugin.path.c_str());
  }
  return plugin;
}

}  // namespace

const CudaPlugin& cuda_plugin(const ort::Api* api) {
  static const CudaPlugin plugin = open_plugin(api);
  return plugin;
}

}  // namespace hla
