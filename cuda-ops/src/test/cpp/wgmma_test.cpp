#include "wgmma_test.h"

#include <cstdio>
#include <random>
#include <vector>

#include "emulation.h"
#include "wgmma.h"

namespace {

using namespace hla::cuda;

constexpr int kThreads = 256;  // two warpgroups
constexpr int kRows = kThreads / 32 * 16;
constexpr int kDepth = 48;

float number(std::minstd_rand& random) { return static_cast<float>(static_cast<int>(random() % 33) - 16) / 8.0f; }

// mma_traits_sm90_gmma.hpp, operands whose columns lie side by side, in numbers of 16 bits (T = 8):
//   INTERLEAVE  ((8,1,m),(8,k)) : ((1,8,SBO),(8,LBO))
//   B128        Swizzle<3,4,3> o ((8,8,m),(8,k)) : ((1,8,LBO),(64,SBO))
int place(int k, int n, bool swizzle, int leading, int stride) {
  if (!swizzle) return n % 8 + n / 8 * (stride / 2) + k % 8 * 8 + k / 8 * (leading / 2);
  const int at = n % 8 + n / 8 % 8 * 8 + n / 64 * (leading / 2) + k % 8 * 64 + k / 8 * (stride / 2);
  const int bytes = at * 2;
  return (bytes ^ (bytes & 0x380) >> 3) / 2;
}

// Two products in flight, a third behind them, of one operand in shared memory.
template <int kN>
int test(bool swizzle, int leading, int stride, uint64_t seed) {
  std::minstd_rand random(kN + (swizzle ? 1 : 0));
  std::vector<float> a(kRows * kDepth), b(kDepth * kN);
  for (float& x : a) x = number(random);
  for (float& x : b) x = number(random);
  std::vector<float> got(kRows * kN);
  // Steps of 16 rows of the operand follow each other; a step's bytes, rounded up to what the order is aligned to.
  const int step_bytes = (2 * (place(15, kN - 1, swizzle, leading, stride) + 64) + 1023) / 1024 * 1024;
  emulation::run(1, kThreads, kDepth / 16 * step_bytes, seed, [&](unsigned char* shared) {
    const int thread = thread_index();
    for (int i = thread; i < kDepth * kN; i += kThreads) {
      auto* const step = reinterpret_cast<uint16_t*>(shared + i / kN / 16 * step_bytes);
      step[place(i / kN % 16, i % kN, swizzle, leading, stride)] =
          static_cast<uint16_t>(pack_bfloat16(b[static_cast<size_t>(i)], 0));
    }
    show_to_products();
    barrier();
    const int row = thread / 32 * 16 + thread % 32 / 4;
    const int pair = thread % 4 * 2;
    float sums[kN / 2] = {};
    uint32_t operands[kDepth / 16][4];
    for (int step = 0; step < kDepth / 16; ++step) {
      for (int i = 0; i < 4; ++i) {
        const auto at = static_cast<size_t>((row + i % 2 * 8) * kDepth + step * 16 + pair + i / 2 * 8);
        operands[step][i] = pack_bfloat16(a[at], a[at + 1]);
      }
      wgmma_fence();
      wgmma<kN>(sums, operands[step],
                descriptor(shared + step * step_bytes, leading, stride, swizzle ? Order::kSwizzle128 : Order::kPlain));
      wgmma_commit();
      wgmma_wait<1>();
    }
    wgmma_wait<0>();
    settle(sums);
    for (int i = 0; i < kN / 2; ++i) {
      got[static_cast<size_t>((row + i / 2 % 2 * 8) * kN + i / 4 * 8 + pair + i % 2)] = sums[i];
    }
  });
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kN; ++n) {
      float expected = 0;  // exact: small multiples of 1/64
      for (int k = 0; k < kDepth; ++k) expected += a[static_cast<size_t>(m * kDepth + k)] * b[static_cast<size_t>(k * kN + n)];
      if (got[static_cast<size_t>(m * kN + n)] == expected) continue;
      std::printf("a product of %d columns, %s, leading %d, stride %d, seed %d: row %d, column %d: %g for %g\n", kN,
                  swizzle ? "swizzled" : "plain", leading, stride, static_cast<int>(seed), m, n,
                  static_cast<double>(got[static_cast<size_t>(m * kN + n)]), static_cast<double>(expected));
      return 1;
    }
  }
  return 0;
}

}  // namespace

int test_wgmma() {
  int failures = 0;
  for (const uint64_t seed : {0, 1}) {
    failures += test<8>(false, 128, 128, seed);
    failures += test<64>(false, 128, 256, seed);
    failures += test<128>(false, 128 * 17, 128, seed);
    failures += test<64>(true, 0, 1024, seed);
    failures += test<128>(true, 2048, 1024, seed);
    failures += test<128>(true, 1024, 2048, seed);
  }
  std::printf("warpgroup products: %d failures\n", failures);
  return failures;
}
