// The operators of this library, as the runtime wants them: static structs, one for each name and element type.
#pragma once

#include <vector>

#include "ort_abi.h"

namespace hla {

std::vector<const ort::CustomOp*> core_operators();
std::vector<const ort::CustomOp*> fused_operators();
std::vector<const ort::CustomOp*> streaming_operators();
std::vector<const ort::CustomOp*> info_operators();
std::vector<const ort::CustomOp*> peak_operators();

}  // namespace hla
