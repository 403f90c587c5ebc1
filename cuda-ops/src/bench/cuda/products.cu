// What Hopper's products do on this device, before the kernels are asked: that operands lie where the kernels put them, and
// what the column of ones costs. gpu-check runs it.
//
// Prints whether each product is right, and the cycles in which both warpgroups of a block make a step of the passes, a group
// of two products of 128 columns each: without the ones, with a product of 8 columns for them as the kernels have it, and
// with products of 136 columns instead, whose last eight lie in a third swizzled block. At 4096 FLOP a cycle that is 256,
// 272 and 272 cycles; how far above the second is decides whether the kernels should take the third.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "wgmma.h"

#ifndef HLA_WITHOUT_HOPPER

namespace hla::cuda {

#define HLA_EIGHT(i)                                                                                                      \
  "+f"(s[i]), "+f"(s[i + 1]), "+f"(s[i + 2]), "+f"(s[i + 3]), "+f"(s[i + 4]), "+f"(s[i + 5]), "+f"(s[i + 6]), "+f"(s[i + 7])
template <>
HLA_DEVICE void wgmma<136>(float (&s)[68], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %73, 0; wgmma.mma_async.sync.aligned.m64n136k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67}, "
      "{%68, %69, %70, %71}, %72, p, 1, 1, 1;}"
      : HLA_EIGHT(0), HLA_EIGHT(8), HLA_EIGHT(16), HLA_EIGHT(24), HLA_EIGHT(32), HLA_EIGHT(40), HLA_EIGHT(48), HLA_EIGHT(56),
        "+f"(s[64]), "+f"(s[65]), "+f"(s[66]), "+f"(s[67])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}
#undef HLA_EIGHT

namespace {

constexpr int kGroupThreads = 256;
constexpr int kBlockBytes = 16 * 128;  // of 64 columns of an operand of 16 rows
constexpr int kSteps = 512;

// Small whole numbers: sums are exact.
__device__ int number(int row, int column) { return (row * 7 + column * 5 + row * column) % 9 - 4; }
__device__ int operand(int k, int n) { return n < 128 ? number(k, n) : n == 128 ? 1 : 0; }

// Columns 0 to 127, and 128 with the ones, swizzled; then the ones alone, plain.
__device__ void fill(unsigned char* shared) {
  for (int i = static_cast<int>(threadIdx.x); i < 16 * 136; i += kGroupThreads) {
    const int k = i / 136, n = i % 136;
    const auto bits = static_cast<uint16_t>(pack_bfloat16(static_cast<float>(operand(k, n)), 0.0f));
    *reinterpret_cast<uint16_t*>(shared + swizzled(k, n / 8 * 8, kBlockBytes) + n % 8 * 2) = bits;
    if (n >= 128) *reinterpret_cast<uint16_t*>(shared + 3 * kBlockBytes + k * 16 + n % 8 * 2) = bits;
  }
  show_to_products();
  __syncthreads();
}

__device__ void rows_of(uint32_t (&a)[4]) {
  const int lane = static_cast<int>(threadIdx.x % 32), row = static_cast<int>(threadIdx.x / 32) * 16 + lane / 4;
  for (int i = 0; i < 4; ++i) {
    const int k = lane % 4 * 2 + i / 2 * 8;
    a[i] = pack_bfloat16(static_cast<float>(number(row + i % 2 * 8, k)), static_cast<float>(number(row + i % 2 * 8, k + 1)));
  }
}

template <int kN>
__device__ void compare(const float (&sums)[kN / 2], int first_column, int* wrong) {
  const int lane = static_cast<int>(threadIdx.x % 32), first_row = static_cast<int>(threadIdx.x / 32) * 16 + lane / 4;
  for (int i = 0; i < kN / 2; ++i) {
    const int row = first_row + i / 2 % 2 * 8, n = first_column + i / 4 * 8 + lane % 4 * 2 + i % 2;
    int expected = 0;
    for (int k = 0; k < 16; ++k) expected += number(row, k) * operand(k, n);
    if (sums[i] != static_cast<float>(expected)) atomicAdd(wrong, 1);
  }
}

template <int kN>
__global__ void __launch_bounds__(kGroupThreads, 1) check_kernel(bool swizzle, int* wrong) {
  extern __shared__ __align__(1024) unsigned char shared[];
  fill(shared);
  uint32_t a[4];
  rows_of(a);
  float sums[kN / 2] = {};
  wgmma_fence();
  wgmma<kN>(sums, a, swizzle ? descriptor(shared, kBlockBytes, 1024, Order::kSwizzle128)
                             : descriptor(shared + 3 * kBlockBytes, 128, 128, Order::kPlain));
  wgmma_commit();
  wgmma_wait<0>();
  settle(sums);
  compare<kN>(sums, swizzle ? 0 : 128, wrong);
}

// kOnes: columns of the product for the ones, or 0; kN: of the others.
template <int kN, int kOnes>
__global__ void __launch_bounds__(kGroupThreads, 1) time_kernel(int* cycles, float* sink) {
  extern __shared__ __align__(1024) unsigned char shared[];
  fill(shared);
  uint32_t a[2][2][4];
  for (auto& step : a) {
    for (auto& product : step) rows_of(product);
  }
  float sums[2][kN / 2] = {}, ones[2][4] = {};
  const uint64_t at = descriptor(shared, kBlockBytes, 1024, Order::kSwizzle128);
  const uint64_t ones_at = descriptor(shared + 3 * kBlockBytes, 128, 128, Order::kPlain);
  __syncthreads();
  const int begin = static_cast<int>(clock());
#pragma unroll 1
  for (int step = 0; step < kSteps; step += 2) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      wgmma_wait<1>();
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        wgmma<kN>(sums[i], a[half][i], at);
        if (kOnes > 0) wgmma<8>(ones[i], a[half][i], ones_at);
      }
      wgmma_commit();
    }
  }
  wgmma_wait<0>();
  __syncthreads();
  if (threadIdx.x == 0) *cycles = static_cast<int>(clock()) - begin;
  float sum = 0;
  for (int i = 0; i < 2; ++i) {
    settle(sums[i]);
    settle(ones[i]);
    for (float x : sums[i]) sum += x;
    for (float x : ones[i]) sum += x;
  }
  sink[threadIdx.x] = sum;
}

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

template <typename Launch>
int number_from(const Launch& launch) {
  int* result = nullptr;
  int value = 0;
  check(cudaMalloc(&result, sizeof(int)));
  check(cudaMemset(result, 0, sizeof(int)));
  launch(result);
  check(cudaGetLastError());
  check(cudaMemcpy(&value, result, sizeof(int), cudaMemcpyDeviceToHost));
  check(cudaFree(result));
  return value;
}

int run() {
  constexpr int kShared = 4 * kBlockBytes;
  int failures = 0;
  const auto report = [&](const char* what, int wrong) {
    if (wrong > 0) ++failures;
    std::printf("%s: %d numbers wrong\n", what, wrong);
  };
  report("8 columns, plain", number_from([](int* to) { check_kernel<8><<<1, kGroupThreads, kShared>>>(false, to); }));
  report("64 columns, swizzled", number_from([](int* to) { check_kernel<64><<<1, kGroupThreads, kShared>>>(true, to); }));
  report("128 columns, swizzled", number_from([](int* to) { check_kernel<128><<<1, kGroupThreads, kShared>>>(true, to); }));
  const int joined = number_from([](int* to) { check_kernel<136><<<1, kGroupThreads, kShared>>>(true, to); });
  float* sink = nullptr;
  check(cudaMalloc(&sink, kGroupThreads * sizeof(float)));
  const auto time = [&](const auto& launch) {
    number_from(launch);
    return number_from(launch) / static_cast<double>(kSteps);
  };
  const double bare = time([&](int* to) { time_kernel<128, 0><<<1, kGroupThreads, kShared>>>(to, sink); });
  const double apart = time([&](int* to) { time_kernel<128, 8><<<1, kGroupThreads, kShared>>>(to, sink); });
  const double together = time([&](int* to) { time_kernel<136, 0><<<1, kGroupThreads, kShared>>>(to, sink); });
  std::printf("%d failures; 136 columns: %d numbers wrong; cycles of a step: %.1f bare, %.1f with 8 columns, %.1f with 136\n",
              failures, joined, bare, apart, together);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hla::cuda

int main() { return hla::cuda::run(); }

#else

int main() {
  std::puts("not run: no warpgroup products in this build");
  return 0;
}

#endif
