// A node whose attention runs on the session's threads.
#pragma once

#include "hadamard_node.h"
#include "isa.h"

namespace hla {

class CpuNode : public HadamardNode {
 public:
  static constexpr const char* kProvider = nullptr;  // the runtime's name for the CPU

  CpuNode(const ort::Api* api, const NodeInfo& node, ort::ElementType type)
      : HadamardNode(api, node, type), kernel_(*selected_kernel().kernel) {}

  void run(ort::KernelContext* context, Problem problem) const {
    complete(problem);
    SessionThreads threads(api(), context);
    attend(kernel_, problem, available_cpus(), threads);
  }

 private:
  const Kernel& kernel_;
};

}  // namespace hla
