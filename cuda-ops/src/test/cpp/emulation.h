// A small CUDA machine on the host, for tests: one block at a time, each of its threads a coroutine of its own, barriers,
// shared memory, and the warp's collective operations (shuffle, matrix loads, matrix product) with the lane layouts that
// the PTX manual gives. It stands in for device.h's functions, so that the kernels' own sources run.
//
// Threads run in a random order, drawn from a seed: with a barrier too few, some order gives another result. Misuse ends
// the process with a message: a barrier that not all threads reach, lanes of a warp in different collectives, an address
// outside shared memory or not aligned.
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
void copy_later(void* shared, const void* global);
void wait_for_copies();

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
using emulation::copy_later;
using emulation::from_float16;
using emulation::shuffle;
using emulation::thread_index;
using emulation::to_float16;
using emulation::wait_for_copies;

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
