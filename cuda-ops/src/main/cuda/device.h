// The part of the CUDA machine that the kernels use. On a host compiler the same functions come from emulation.h, which
// is test code: the kernels' sources are the same in both.
#pragma once

#include <cstdint>

#ifdef __CUDACC__

#include <cuda_fp16.h>

#define HLA_DEVICE __device__ __forceinline__

namespace hla::cuda {

HLA_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
HLA_DEVICE int64_t block_index() { return blockIdx.x; }
HLA_DEVICE void barrier() { __syncthreads(); }
HLA_DEVICE float shuffle(float value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }

HLA_DEVICE uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// sums += a (16 x 16) * b (16 x 8), operands in bfloat16, sums in float32.
HLA_DEVICE void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 8 matrices of 16-bit numbers; lane i gives the address of row i % 8 of matrix i / 8.
HLA_DEVICE void load_matrices(uint32_t (&to)[4], const uint16_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
HLA_DEVICE void load_transposed(uint32_t (&to)[4], const uint16_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
// Two matrices, the addresses from lanes 0 to 15.
HLA_DEVICE void load_transposed(uint32_t (&to)[2], const uint16_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(to[0]), "=r"(to[1])
               : "r"(shared_address(row))
               : "memory");
}

// 16 bytes to shared memory, there after wait_for_copies() and a barrier.
HLA_DEVICE void copy_later(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}
HLA_DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Two numbers rounded to bfloat16, nearest even, the first in the low half.
HLA_DEVICE uint32_t pack_bfloat16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
HLA_DEVICE float from_bits(uint32_t bits) { return __uint_as_float(bits); }
HLA_DEVICE uint32_t to_bits(float value) { return __float_as_uint(value); }
HLA_DEVICE float from_float16(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
HLA_DEVICE uint16_t to_float16(float value) { return __half_as_ushort(__float2half_rn(value)); }

struct alignas(16) Word4 {
  uint32_t x, y, z, w;
};
struct alignas(16) Float4 {
  float x, y, z, w;
};
template <typename T>
HLA_DEVICE T load_once(const T* global) {
  static_assert(sizeof(T) == 16, "16 bytes");
  const uint4 v = __ldg(reinterpret_cast<const uint4*>(global));
  return {v.x, v.y, v.z, v.w};
}

}  // namespace hla::cuda

#else

#include "emulation.h"

#endif
