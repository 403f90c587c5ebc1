#define HLA_LANES 16
#define HLA_STATE_ROWS 8
#define HLA_OUTPUT_TOKENS 14
#define HLA_KERNEL_NAME "avx512"
#define HLA_KERNEL_DESCRIPTION "AVX-512 F/BW/DQ/VL, state tile 8x32, output tile 14x32"
#include "kernel_impl.h"

const hla::Kernel* hla::avx512_kernel() { return &kTable; }
