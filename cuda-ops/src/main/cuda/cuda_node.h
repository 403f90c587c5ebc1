// A node whose attention runs on a CUDA device, on the runtime's stream and in the runtime's memory.
#pragma once

#include "cuda_abi.h"
#include "hadamard_node.h"
#include "row_tables.h"

namespace hla::cuda {

class CudaNode : public HadamardNode {
 public:
  static constexpr const char* kProvider = "CUDAExecutionProvider";

  CudaNode(const ort::Api* table, const NodeInfo& node, ort::ElementType type) : CudaNode(table, node, type, Empty{}) {
    // Here the object counts as made: where this throws, the destructor gives back what there is.
    acquire(node);
  }
  ~CudaNode();
  CudaNode(const CudaNode&) = delete;
  CudaNode& operator=(const CudaNode&) = delete;

  void run(ort::KernelContext* context, Problem problem) const;

 private:
  struct Empty {};
  CudaNode(const ort::Api* table, const NodeInfo& node, ort::ElementType type, Empty)
      : HadamardNode(table, node, type), tables_(plan()) {}
  void acquire(const NodeInfo& node);

  RowTables tables_;
  ort::Allocator* allocator_ = nullptr;
  const ort::MemoryInfo* memory_ = nullptr;  // the allocator's
  int device_ = 0;
  int multiprocessors_ = 0;
  bool warpgroups_ = false;
  int32_t* words_ = nullptr;  // the tables on the device
};

}  // namespace hla::cuda
