// The kernels as the device sees them, and their launches.
#include "launch.h"
#include "maps_kernel.h"
#include "output_kernel.h"
#include "reduce_kernel.h"
#include "shared_memory.h"
#include "state_kernel.h"

namespace hla::cuda {
namespace {

static_assert(StateShape<Float32, 3>::shared_bytes(7) == state_shared_bytes(Element::kFloat32, 3, 7), "one layout");
static_assert(StateShape<Float16, 2>::shared_bytes(7) == state_shared_bytes(Element::kFloat16, 2, 7), "one layout");
static_assert(StateShape<Bfloat16, 2>::shared_bytes(7) == state_shared_bytes(Element::kBfloat16, 2, 7), "one layout");
static_assert(OutputShape<3>::shared_bytes(7) == output_shared_bytes(3, 7), "one layout");
static_assert(MapShape<Float32>::kSharedBytes == map_shared_bytes(Element::kFloat32), "one layout");

extern __shared__ unsigned char shared_memory[];

template <typename T, int kTerms>
__global__ void __launch_bounds__(kThreads, 2) state_kernel(const __grid_constant__ StateArgs args) {
  state_block<T, kTerms>(args, shared_memory);
}

template <int kTerms>
__global__ void __launch_bounds__(kThreads) reduce_kernel(const __grid_constant__ ReduceArgs args) {
  reduce_block<kTerms>(args);
}

template <typename T, int kTerms>
__global__ void __launch_bounds__(kThreads, 2) output_kernel(const __grid_constant__ OutputArgs args) {
  output_block<T, kTerms>(args, shared_memory);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) zero_kernel(const __grid_constant__ ZeroArgs args) {
  zero_block<T>(args);
}

template <typename T>
__global__ void __launch_bounds__(kThreads, 2) maps_kernel(const __grid_constant__ MapArgs args) {
  maps_block<T>(args, shared_memory);
}

}  // namespace

void StreamLauncher::state(Element element, int terms, int64_t blocks, int shared, const StateArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  switch (element) {
    case Element::kFloat32: return launch<kThreads>(state_kernel<Float32, 3>, blocks, shared, args, stream);
    case Element::kFloat16: return launch<kThreads>(state_kernel<Float16, 2>, blocks, shared, args, stream);
    default:
      return terms == 1 ? launch<kThreads>(state_kernel<Bfloat16, 1>, blocks, shared, args, stream)
                        : launch<kThreads>(state_kernel<Bfloat16, 2>, blocks, shared, args, stream);
  }
}

void StreamLauncher::reduce(int terms, int64_t blocks, const ReduceArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  switch (terms) {
    case 1: return launch<kThreads>(reduce_kernel<1>, blocks, 0, args, stream);
    case 2: return launch<kThreads>(reduce_kernel<2>, blocks, 0, args, stream);
    default: return launch<kThreads>(reduce_kernel<3>, blocks, 0, args, stream);
  }
}

void StreamLauncher::output(Element element, int terms, int64_t blocks, int shared, const OutputArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  switch (element) {
    case Element::kFloat32: return launch<kThreads>(output_kernel<Float32, 3>, blocks, shared, args, stream);
    case Element::kFloat16: return launch<kThreads>(output_kernel<Float16, 2>, blocks, shared, args, stream);
    default:
      return terms == 1 ? launch<kThreads>(output_kernel<Bfloat16, 1>, blocks, shared, args, stream)
                        : launch<kThreads>(output_kernel<Bfloat16, 2>, blocks, shared, args, stream);
  }
}

void StreamLauncher::zero(Element element, int64_t blocks, const ZeroArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  if (element == Element::kFloat32) return launch<kThreads>(zero_kernel<Float32>, blocks, 0, args, stream);
  return launch<kThreads>(zero_kernel<Float16>, blocks, 0, args, stream);  // a zero of either 16-bit type
}

void StreamLauncher::maps(Element element, int64_t blocks, int shared, const MapArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  switch (element) {
    case Element::kFloat32: return launch<kThreads>(maps_kernel<Float32>, blocks, shared, args, stream);
    case Element::kFloat16: return launch<kThreads>(maps_kernel<Float16>, blocks, shared, args, stream);
    default: return launch<kThreads>(maps_kernel<Bfloat16>, blocks, shared, args, stream);
  }
}

Probe probe() {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return {0, std::string(cudaGetErrorString(error))};
  Probe result{0, ""};
  for (int device = 0; device < count; ++device) {
    int major = 0, minor = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (major >= 8) {
      ++result.devices;
    } else {
      result.reason = "device " + std::to_string(device) + " has compute capability " + std::to_string(major) + "." +
                      std::to_string(minor) + ", the kernels need 8.0";
    }
  }
  if (count == 0) result.reason = "no device";
  return result;
}

int multiprocessors(int device) {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "multiprocessor count");
  return count;
}

DeviceScope::DeviceScope(int device) {
  check(cudaGetDevice(&before_), "current device");
  if (before_ != device) check(cudaSetDevice(device), "set device");
  changed_ = before_ != device;
}
DeviceScope::~DeviceScope() {
  if (changed_) cudaSetDevice(before_);
}

void upload(void* to, const void* from, size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copy of the tables");
  // From pageable memory the copy may return before its last bytes are there, and the runtime's stream does not wait for it.
  check(cudaStreamSynchronize(nullptr), "copy of the tables");
}

}  // namespace hla::cuda
