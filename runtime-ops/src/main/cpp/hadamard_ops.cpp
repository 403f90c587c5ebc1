// The core, the fused and the streaming operator on the CPU.
#include "core_node.h"
#include "cpu_node.h"
#include "fused_node.h"
#include "ops.h"
#include "streaming_node.h"

namespace hla {

std::vector<const ort::CustomOp*> core_operators() { return typed_operators<make_typed_op<CoreKernel<CpuNode>>>(); }
std::vector<const ort::CustomOp*> fused_operators() { return fused_typed_operators<CpuNode>(); }
std::vector<const ort::CustomOp*> streaming_operators() { return streaming_typed_operators<CpuNode>(); }

}  // namespace hla
