// What the user decides by environment variables.
#pragma once

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace hla::cuda {

// HLA_CUDA_WGMMA=1: on Hopper, the calls that fit them take the warpgroup kernels, which have not run on a device yet.
inline bool warpgroups_wanted() {
  const char* const value = std::getenv("HLA_CUDA_WGMMA");
  if (value == nullptr || *value == 0 || std::strcmp(value, "0") == 0) return false;
  if (std::strcmp(value, "1") == 0) return true;
  throw std::invalid_argument(std::string("environment variable HLA_CUDA_WGMMA: expected 1 or 0, got ") + value);
}

}  // namespace hla::cuda
