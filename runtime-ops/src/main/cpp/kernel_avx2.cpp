#define HLA_LANES 8
#define HLA_STATE_ROWS 6
#define HLA_OUTPUT_TOKENS 6
#define HLA_KERNEL_NAME "avx2"
#define HLA_KERNEL_DESCRIPTION "AVX2, FMA, F16C, state tile 6x16, output tile 6x16"
#include "kernel_impl.h"

const hla::Kernel* hla::avx2_kernel() { return &kTable; }
