// A small CUDA machine on the host, for tests: one block at a time, each of its threads a coroutine of its own, barriers,
// shared memory, and the warp's collective operations (shuffle, matrix loads, matrix product) with the lane layouts that
// the PTX manual gives, and Hopper's warpgroup products (wgmma) with theirs and with the manual's descriptors. It stands in
// for the functions of device.h and wgmma.h, so that the kernels' own sources run.
//
// Threads run in a random order, drawn from a seed: with a barrier too few, some order gives another result. What runs on by
// itself does so at one of the ends of the time that the machine has for it: with even seeds copies move at once and
// products wait until they are waited for, with odd seeds copies wait and products run at their commit. Misuse ends the
// process with a message: a barrier that not all threads reach, lanes of a warp in different collectives, an address outside
// shared memory or not aligned, a group of products without a fence, a product of copied bytes that no proxy fence follows.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#define HLA_DEVICE inline
#define HLA_EMULATED 1

namespace emulation {

// Runs `kernel` for every block of the grid, with `shared` bytes of shared memory that hold NaNs at first.
void run(int64_t blocks, int threads, int shared, uint64_t seed, const std::function<void(unsigned char*)>& kernel);

int thread_index();
int64_t block_index();
void barrier();
float shuffle(float value, int lane);
void multiply_add(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1);
void load_matrices(uint32_t* to, int count, const uint16_t* row, bool transposed);
void warp_barrier();
void copy_later(void* shared, const void* global, bool there = true);
void commit_copies();
void wait_for_copies(int pending_groups);
void show_to_products();

// Of shared memory, as descriptors hold it.
uint32_t shared_address(const void* p);
// sums (16 rows of a warp, `columns` wide) += a * what `descriptor` means; at the commit or at the wait, when `a` is read.
void wgmma(float* sums, const uint32_t* a, uint64_t descriptor, int columns);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int pending_groups);

// Ends the process.
[[noreturn]] void fail(const char* format, ...);

uint32_t bits_of(float value);
uint16_t to_bfloat16(float value);
float from_float16(uint16_t bits);
uint16_t to_float16(float value);

}  // namespace emulation

namespace hla::cuda {

using emulation::barrier;
using emulation::block_index;
using emulation::commit_copies;
using emulation::from_float16;
using emulation::shuffle;
using emulation::thread_index;
using emulation::to_float16;
using emulation::shared_address;
using emulation::show_to_products;
using emulation::warp_barrier;
using emulation::wgmma_commit;
using emulation::wgmma_fence;

inline void copy_later(void* shared, const void* global) { emulation::copy_later(shared, global); }
inline void wait_for_copies() { emulation::wait_for_copies(-1); }
inline void copy_or_zero(void* shared, const void* global, bool there) { emulation::copy_later(shared, global, there); }
template <int kPending>
void wait_for_copies_but() {
  emulation::wait_for_copies(kPending);
}
template <int kN>
void wgmma(float (&sums)[kN / 2], const uint32_t (&a)[4], uint64_t b) {
  emulation::wgmma(sums, a, b, kN);
}
template <int kPending>
void wgmma_wait() {
  emulation::wgmma_wait(kPending);
}
template <int kCount>
void settle(float (&)[kCount]) {}
inline void pause(int) {}

inline void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  emulation::multiply_add(sums, a, b0, b1);
}
inline void load_matrices(uint32_t (&to)[4], const uint16_t* row) { emulation::load_matrices(to, 4, row, false); }
inline void load_transposed(uint32_t (&to)[4], const uint16_t* row) { emulation::load_matrices(to, 4, row, true); }
inline void load_transposed(uint32_t (&to)[2], const uint16_t* row) { emulation::load_matrices(to, 2, row, true); }

inline uint32_t pack_bfloat16(float low, float high) {
  return emulation::to_bfloat16(low) | static_cast<uint32_t>(emulation::to_bfloat16(high)) << 16;
}
inline float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t to_bits(float value) { return emulation::bits_of(value); }

inline uint32_t multiply_pairs(uint32_t a, uint32_t b) {
  return pack_bfloat16(from_bits(a << 16) * from_bits(b << 16), from_bits(a & 0xffff0000u) * from_bits(b & 0xffff0000u));
}
inline uint32_t halves(uint32_t first, uint32_t second, bool high) {
  return high ? first >> 16 | (second & 0xffff0000u) : (first & 0xffffu) | second << 16;
}

inline float near_exp(float x) { return std::exp(x); }
inline float near_log(float x) { return std::log(x); }

struct alignas(16) Word4 {
  uint32_t x, y, z, w;
};
struct alignas(16) Float4 {
  float x, y, z, w;
};
template <typename T>
T load_once(const T* global) {
  if (reinterpret_cast<uintptr_t>(global) % sizeof(T) != 0) emulation::fail("a read of 16 bytes at an odd address");
  return *global;
}

}  // namespace hla::cuda
