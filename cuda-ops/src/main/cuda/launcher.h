// The device, for code that does not see CUDA's headers.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "schedule.h"

namespace hla::cuda {

struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Devices that the kernels run on; where there is none, or one was passed over, the reason.
struct Probe {
  int devices;
  std::string reason;
};
Probe probe();

int multiprocessors(int device);
// True where the plugin was built with the warpgroup kernels and the device, of compute capability 9.0, runs them.
bool has_warpgroups(int device);
void upload(void* to, const void* from, size_t bytes);

// Makes `device` this thread's device, and the one before it again at the end.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

// Enqueues on a stream, which is a cudaStream_t.
class StreamLauncher final : public Launcher {
 public:
  explicit StreamLauncher(void* stream) : stream_(stream) {}
  void state(Element element, int terms, int64_t blocks, int shared, const StateArgs& args) override;
  void reduce(int terms, int64_t blocks, const ReduceArgs& args) override;
  void output(Element element, int terms, int64_t blocks, int shared, const OutputArgs& args) override;
  void zero(Element element, int64_t blocks, const ZeroArgs& args) override;
  void maps(Element element, int64_t blocks, int shared, const MapArgs& args) override;
  void wgmma_state(int64_t blocks, int shared, const WgmmaStateArgs& args) override;
  void wgmma_reduce(int64_t blocks, const WgmmaReduceArgs& args) override;
  void wgmma_output(int64_t blocks, int shared, const WgmmaOutputArgs& args) override;
  void wgmma_maps(int64_t blocks, int shared, const WgmmaMapArgs& args) override;

 private:
  void* stream_;
};

}  // namespace hla::cuda
