// Runs the kernels in the emulation, in one order of threads for each seed.
#pragma once

#include "emulation.h"
#include "maps_kernel.h"
#include "output_kernel.h"
#include "reduce_kernel.h"
#include "schedule.h"
#include "state_kernel.h"
#include "wgmma_maps_kernel.h"
#include "wgmma_output_kernel.h"
#include "wgmma_reduce_kernel.h"
#include "wgmma_state_kernel.h"

class EmulatedLauncher final : public hla::cuda::Launcher {
 public:
  explicit EmulatedLauncher(uint64_t seed) : seed_(seed) {}

  void state(hla::Element element, int terms, int64_t blocks, int shared, const hla::cuda::StateArgs& args) override;
  void reduce(int terms, int64_t blocks, const hla::cuda::ReduceArgs& args) override;
  void output(hla::Element element, int terms, int64_t blocks, int shared, const hla::cuda::OutputArgs& args) override;
  void zero(hla::Element element, int64_t blocks, const hla::cuda::ZeroArgs& args) override;
  void maps(hla::Element element, int64_t blocks, int shared, const hla::cuda::MapArgs& args) override;
  void wgmma_state(int64_t blocks, int shared, const hla::cuda::WgmmaStateArgs& args) override;
  void wgmma_reduce(int64_t blocks, const hla::cuda::WgmmaReduceArgs& args) override;
  void wgmma_output(int64_t blocks, int shared, const hla::cuda::WgmmaOutputArgs& args) override;
  void wgmma_maps(int64_t blocks, int shared, const hla::cuda::WgmmaMapArgs& args) override;

 private:
  void run(int64_t blocks, int shared, const std::function<void(unsigned char*)>& kernel, int threads = hla::cuda::kThreads) {
    emulation::run(blocks, threads, shared, seed_, kernel);
  }
  uint64_t seed_;
};
