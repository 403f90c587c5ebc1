// The operators of this library, as the runtime wants them: static structs, one for each element type.
#pragma once

#include <vector>

#include "ort_abi.h"

namespace hla {

// Called by RegisterCustomOps before anything else: the callbacks that the runtime gives no table are served by this one.
void set_shape_inference_api(const ort::Api* api);

std::vector<const ort::CustomOp*> core_operators();
std::vector<const ort::CustomOp*> info_operators();

}  // namespace hla
