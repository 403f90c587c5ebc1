// Which kernel runs on this machine.
#pragma once

#include <string>
#include <vector>

#include "kernel.h"

namespace hla {

struct Selection {
  const Kernel* kernel;
  std::string reason;  // why this one, and why not a faster one
};

// One instruction set: its kernel (null where this build has none) and what the CPU lacks for it ("" for nothing).
struct Variant {
  const char* name;
  const Kernel* kernel;
  std::string lacks;
};

// All variants, fastest first.
std::vector<Variant> variants();

// The fastest variant that runs here, or the one that HLA_ISA names. Decided at the first call, the same ever after.
// Throws std::invalid_argument where HLA_ISA names one that is unknown or cannot run here.
const Selection& selected_kernel();

// The same decision for a given value of HLA_ISA (null or empty: none).
Selection select_kernel(const char* forced);

}  // namespace hla
