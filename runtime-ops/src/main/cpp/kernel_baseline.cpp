#define HLA_LANES 4
#define HLA_STATE_ROWS 4
#define HLA_OUTPUT_TOKENS 4
#define HLA_KERNEL_NAME "baseline"
#define HLA_KERNEL_DESCRIPTION "portable, vectors of 4, state tile 4x8, output tile 4x8"
#include "kernel_impl.h"

const hla::Kernel* hla::baseline_kernel() { return &kTable; }
