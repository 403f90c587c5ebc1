// ai.hla::FmaPeak, version 1: multiply-adds on registers alone, on the session's threads. Its input is two numbers: tasks,
// and rounds in each; its output is the floating-point operations that were done. A host that times a run of it knows the
// peak to hold a kernel's speed against, under the same runtime and on the same threads.
#include <atomic>

#include "isa.h"
#include "op_support.h"
#include "ops.h"

namespace hla {
namespace {

struct PeakKernel {
  const ort::Api* api;
};

struct Work {
  double (*peak)(int64_t rounds, float* sink);
  int64_t rounds;
  std::atomic<int64_t> flops;
};

void task(void* data, size_t) {
  Work& work = *static_cast<Work*>(data);
  float sink[3] = {0.999f, 0.001f, 0};
  work.flops += static_cast<int64_t>(work.peak(work.rounds, sink));
}

ort::Status* create(const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo*, void** kernel) {
  return guard(api, [&] { *kernel = new PeakKernel{api}; });
}

ort::Status* compute(void* kernel, ort::KernelContext* context) {
  const ort::Api* api = static_cast<const PeakKernel*>(kernel)->api;
  return guard(api, [&] {
    const Tensor given = input(api, context, 0);
    const int64_t* numbers = static_cast<const int64_t*>(given.data);
    if (given.dims != Dims{2} || numbers[0] < 1 || numbers[1] < 1) {
      throw std::invalid_argument("ai.hla::FmaPeak: input work: expected 2 numbers from 1, tasks and rounds");
    }
    Work work{selected_kernel().kernel->peak, numbers[1], {0}};
    SessionThreads(api, context).run(static_cast<size_t>(numbers[0]), task, &work);
    *static_cast<int64_t*>(output(api, context, 0, {1}).data) = work.flops;
  });
}

ort::CustomOp make() {
  ort::CustomOp op = common_callbacks();
  op.GetName = [](const ort::CustomOp*) { return "FmaPeak"; };
  op.GetInputTypeCount = [](const ort::CustomOp*) -> size_t { return 1; };
  op.GetInputType = [](const ort::CustomOp*, size_t) { return ort::kInt64; };
  op.GetOutputType = [](const ort::CustomOp*, size_t) { return ort::kInt64; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<PeakKernel*>(kernel); };
  return op;
}

}  // namespace

std::vector<const ort::CustomOp*> peak_operators() {
  static const ort::CustomOp op = make();
  return {&op};
}

}  // namespace hla
