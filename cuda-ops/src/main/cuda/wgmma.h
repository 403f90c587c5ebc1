// Hopper's warpgroup products (wgmma, sm_90a) and what they need around them. On a host compiler the same functions come
// from emulation.h.
//
// Sources: PTX ISA, "Asynchronous warpgroup level matrix instructions" (fragments, descriptor, fence, commit, wait) and
// CUTLASS's include/cute/atom/mma_traits_sm90_gmma.hpp (canonical layouts).
#pragma once

#include "device.h"

#ifdef __CUDACC__

namespace hla::cuda {

// sums (64 x kN, float32) += a (64 x 16, a warp's 16 rows in its registers) * b (16 x kN, bfloat16 in shared memory behind
// the descriptor, neighbouring columns side by side). Runs on after it returns: until wgmma_wait() says so, `sums` may not
// be read nor `a` and the shared memory be changed. All 128 threads of a warpgroup take part.
template <int kN>
HLA_DEVICE void wgmma(float (&sums)[kN / 2], const uint32_t (&a)[4], uint64_t b);

#define HLA_EIGHT(i)                                                                                                      \
  "+f"(s[i]), "+f"(s[i + 1]), "+f"(s[i + 2]), "+f"(s[i + 3]), "+f"(s[i + 4]), "+f"(s[i + 5]), "+f"(s[i + 6]), "+f"(s[i + 7])

template <>
HLA_DEVICE void wgmma<8>(float (&s)[4], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %9, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, %8, p, 1, 1, 1;}"
      : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}
template <>
HLA_DEVICE void wgmma<64>(float (&s)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 1;}"
      : HLA_EIGHT(0), HLA_EIGHT(8), HLA_EIGHT(16), HLA_EIGHT(24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}
template <>
HLA_DEVICE void wgmma<128>(float (&s)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, 1;}"
      : HLA_EIGHT(0), HLA_EIGHT(8), HLA_EIGHT(16), HLA_EIGHT(24),
        HLA_EIGHT(32), HLA_EIGHT(40), HLA_EIGHT(48), HLA_EIGHT(56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}

#undef HLA_EIGHT

// Before the first product of a group: what this thread wrote to the registers of sums and operands is there.
HLA_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// The products since the last commit are a group.
HLA_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// All groups but the last kPending have ended.
template <int kPending>
HLA_DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from reading sums before the wait that comes before this.
template <int kCount>
HLA_DEVICE void settle(float (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}
// What this thread has written to shared memory may be read by products, after a barrier.
HLA_DEVICE void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// 16 bytes to shared memory, zeros where `there` is false (nothing is read then). Groups of them as for products.
HLA_DEVICE void copy_or_zero(void* shared, const void* global, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(there ? 16 : 0)
               : "memory");
}
HLA_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
HLA_DEVICE void wait_for_copies_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// With a relative error of a few units of 2^-22, more for exponents far from 0.
HLA_DEVICE float near_exp(float x) { return __expf(x); }
HLA_DEVICE float near_log(float x) { return __logf(x); }

HLA_DEVICE void warp_barrier() { __syncwarp(); }

// Some cycles, no less than told, in which the warp does nothing.
HLA_DEVICE void pause(int cycles) {
  const unsigned begin = static_cast<unsigned>(clock());
  while (static_cast<unsigned>(clock()) - begin < static_cast<unsigned>(cycles)) {
  }
}

// Two products of bfloat16 numbers, each rounded to nearest even.
HLA_DEVICE uint32_t multiply_pairs(uint32_t a, uint32_t b) {
  uint32_t product;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
  return product;
}
// The low halves of two words, or the high ones.
HLA_DEVICE uint32_t halves(uint32_t first, uint32_t second, bool high) {
  return __byte_perm(first, second, high ? 0x7632u : 0x5410u);
}

}  // namespace hla::cuda

#endif

namespace hla::cuda {

// Where a 16 x kN operand lies. Its core matrices are 8 rows of 16 bytes (8 columns).
//   kPlain       a core matrix is 128 contiguous bytes; `leading` bytes lead to the next 8 rows, `stride` to the next 8 columns
//   kSwizzle128  rows of 128 bytes (64 columns), their eight pieces of 16 bytes in the order piece ^ row % 8, so that both
//                rows and columns of pieces meet every bank; `stride` leads to the next 8 rows, `leading` to the next 64
//                columns. Tiles begin at multiples of 1024 bytes.
enum class Order : uint64_t { kPlain = 0, kSwizzle128 = 1 };
HLA_DEVICE uint64_t descriptor(const void* shared, int leading, int stride, Order order) {
  return static_cast<uint64_t>((shared_address(shared) & 0x3ffffu) >> 4) | static_cast<uint64_t>(leading >> 4) << 16 |
         static_cast<uint64_t>(stride >> 4) << 32 | static_cast<uint64_t>(order) << 62;
}

struct alignas(8) Float2 {
  float x, y;
};
HLA_DEVICE void store_floats(float* to, float first, float second) { *reinterpret_cast<Float2*>(to) = {first, second}; }

// The byte of a swizzled tile at which eight neighbouring columns of a row begin. `block_bytes` is the size of 64 columns.
HLA_DEVICE int swizzled(int row, int column, int block_bytes) {
  return column / 64 * block_bytes + row * 128 + ((column % 64 / 8) ^ (row % 8)) * 16;
}

}  // namespace hla::cuda
