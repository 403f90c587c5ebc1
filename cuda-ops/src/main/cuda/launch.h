// Launches, for the sources that nvcc compiles.
#pragma once

#include <cuda_runtime.h>

#include "launcher.h"

namespace hla::cuda {

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw DeviceError(std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

template <int kBlockThreads, typename Args>
void launch(void (*kernel)(Args), int64_t blocks, int shared, const Args& args, cudaStream_t stream) {
  constexpr int kWithoutAsking = 48 * 1024;
  if (shared > kWithoutAsking) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), "shared memory");
  }
  kernel<<<static_cast<unsigned>(blocks), kBlockThreads, static_cast<size_t>(shared), stream>>>(args);
  check(cudaGetLastError(), "launch");
}

}  // namespace hla::cuda
