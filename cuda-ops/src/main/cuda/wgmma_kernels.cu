// The warpgroup kernels as the device sees them, and their launches. Built for compute capability 9.0 alone (sm_90a); with
// HLA_WITHOUT_HOPPER, for a plugin that has no code for it, only their door is left, and it is shut.
#include "launch.h"
#include "wgmma_maps_kernel.h"
#include "wgmma_output_kernel.h"
#include "wgmma_reduce_kernel.h"
#include "wgmma_state_kernel.h"

namespace hla::cuda {

#ifndef HLA_WITHOUT_HOPPER

namespace {

extern __shared__ __align__(1024) unsigned char shared_memory[];

template <int kColumns, int kHalves>
__global__ void __launch_bounds__(kGroupThreads, 1) wgmma_state_kernel(const __grid_constant__ WgmmaStateArgs args) {
  wgmma_state_block<kColumns, kHalves>(args, shared_memory);
}

template <int kColumns>
__global__ void __launch_bounds__(kGroupReduceThreads) wgmma_reduce_kernel(const __grid_constant__ WgmmaReduceArgs args) {
  wgmma_reduce_block<kColumns>(args);
}

template <int kColumns, int kHalves, bool kResident>
__global__ void __launch_bounds__(kGroupThreads, 1) wgmma_output_kernel(const __grid_constant__ WgmmaOutputArgs args) {
  wgmma_output_block<kColumns, kHalves, kResident>(args, shared_memory);
}

__global__ void __launch_bounds__(kGroupThreads, 1) wgmma_maps_kernel(const __grid_constant__ WgmmaMapArgs args) {
  wgmma_maps_block(args, shared_memory);
}

template <int kColumns, int kHalves>
void launch_output(int64_t blocks, int shared, const WgmmaOutputArgs& args, cudaStream_t stream) {
  launch<kGroupThreads>(args.resident ? wgmma_output_kernel<kColumns, kHalves, true> : wgmma_output_kernel<kColumns, kHalves, false>,
                        blocks, shared, args, stream);
}

}  // namespace

void StreamLauncher::wgmma_state(int64_t blocks, int shared, const WgmmaStateArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  const bool narrow = args.columns == kBlockColumns;
  if (args.second_rank == 16) {
    launch<kGroupThreads>(narrow ? wgmma_state_kernel<64, 1> : wgmma_state_kernel<128, 1>, blocks, shared, args, stream);
  } else {
    launch<kGroupThreads>(narrow ? wgmma_state_kernel<64, 2> : wgmma_state_kernel<128, 2>, blocks, shared, args, stream);
  }
}

void StreamLauncher::wgmma_reduce(int64_t blocks, const WgmmaReduceArgs& args) {
  const bool narrow = args.columns == kBlockColumns;
  launch<kGroupReduceThreads>(narrow ? wgmma_reduce_kernel<64> : wgmma_reduce_kernel<128>, blocks, 0, args,
                              static_cast<cudaStream_t>(stream_));
}

void StreamLauncher::wgmma_output(int64_t blocks, int shared, const WgmmaOutputArgs& args) {
  auto* const stream = static_cast<cudaStream_t>(stream_);
  const bool narrow = args.columns == kBlockColumns;
  if (args.second_rank == 16) {
    return narrow ? launch_output<64, 1>(blocks, shared, args, stream) : launch_output<128, 1>(blocks, shared, args, stream);
  }
  return narrow ? launch_output<64, 2>(blocks, shared, args, stream) : launch_output<128, 2>(blocks, shared, args, stream);
}

void StreamLauncher::wgmma_maps(int64_t blocks, int shared, const WgmmaMapArgs& args) {
  launch<kGroupThreads>(wgmma_maps_kernel, blocks, shared, args, static_cast<cudaStream_t>(stream_));
}

bool has_warpgroups(int device) {
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "compute capability");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "compute capability");
  return major == 9 && minor == 0;
}

#else

void StreamLauncher::wgmma_state(int64_t, int, const WgmmaStateArgs&) { throw DeviceError("built without Hopper's kernels"); }
void StreamLauncher::wgmma_reduce(int64_t, const WgmmaReduceArgs&) { throw DeviceError("built without Hopper's kernels"); }
void StreamLauncher::wgmma_output(int64_t, int, const WgmmaOutputArgs&) { throw DeviceError("built without Hopper's kernels"); }
void StreamLauncher::wgmma_maps(int64_t, int, const WgmmaMapArgs&) { throw DeviceError("built without Hopper's kernels"); }
bool has_warpgroups(int) { return false; }

#endif

}  // namespace hla::cuda
