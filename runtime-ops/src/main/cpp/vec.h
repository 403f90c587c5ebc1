// The few vector operations the kernels need, over the compiler's vector extension: one text for every instruction set.
// Included only by the kernels' files, each of which sets HLA_LANES and is compiled with its own flags. Everything has
// internal linkage, so that no code of one instruction set can be taken for another's.
#pragma once

#include <cstdint>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace hla {
namespace {

constexpr int64_t kLanes = HLA_LANES;

typedef float vf __attribute__((vector_size(HLA_LANES * 4)));
typedef float vf_unaligned __attribute__((vector_size(HLA_LANES * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(HLA_LANES * 4)));

#define HLA_INLINE inline __attribute__((always_inline))

HLA_INLINE vf load(const float* p) { return *reinterpret_cast<const vf_unaligned*>(p); }
HLA_INLINE void store(float* p, vf v) { *reinterpret_cast<vf_unaligned*>(p) = v; }
HLA_INLINE vf splat(float x) { return x - vf{}; }

// sum += *x * v. On AVX-512 the multiply-add reads the number from memory itself: an instruction less than with a splat, where
// a compiler would make one, as soon as the number is needed twice. AddressSanitizer would not see the read.
#if defined(__AVX512F__) && !defined(__SANITIZE_ADDRESS__)
constexpr bool kReadsNumbers = true;
HLA_INLINE void add_scaled(vf& sum, const float* x, vf v) {
  asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(v), "m"(*x));
}
#else
constexpr bool kReadsNumbers = false;
HLA_INLINE void add_scaled(vf& sum, const float* x, vf v) { sum += splat(*x) * v; }
#endif

template <typename T>
HLA_INLINE T smaller(T a, T b) {
  return a < b ? a : b;
}
HLA_INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// ---- Interleaving, for transposes

#if defined(__clang__)
#define HLA_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define HLA_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif

#if HLA_LANES == 16
HLA_INLINE vf interleave_low(vf a, vf b) {
  return HLA_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
HLA_INLINE vf interleave_high(vf a, vf b) {
  return HLA_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif HLA_LANES == 8
HLA_INLINE vf interleave_low(vf a, vf b) { return HLA_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
HLA_INLINE vf interleave_high(vf a, vf b) { return HLA_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#elif HLA_LANES == 4
HLA_INLINE vf interleave_low(vf a, vf b) { return HLA_SHUFFLE(a, b, 0, 4, 1, 5); }
HLA_INLINE vf interleave_high(vf a, vf b) { return HLA_SHUFFLE(a, b, 2, 6, 3, 7); }
#endif

// A square of kLanes vectors, transposed in place by log2(kLanes) perfect shuffles.
HLA_INLINE void transpose(vf (&rows)[kLanes]) {
#pragma GCC unroll 4
  for (int64_t step = 1; step < kLanes; step *= 2) {
    vf next[kLanes];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = interleave_low(rows[i], rows[i + kLanes / 2]);
      next[2 * i + 1] = interleave_high(rows[i], rows[i + kLanes / 2]);
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

// ---- Element types: a vector of floats from and to memory, whole or the first n lanes

struct Float32 {
  using Storage = float;
};
struct Float16 {
  using Storage = uint16_t;
};
struct Bfloat16 {
  using Storage = uint16_t;
};

typedef uint16_t vh __attribute__((vector_size(HLA_LANES * 2)));
typedef uint16_t vh_unaligned __attribute__((vector_size(HLA_LANES * 2), aligned(2), may_alias));
typedef uint32_t vu __attribute__((vector_size(HLA_LANES * 4)));

#if HLA_LANES == 4
// No conversion instruction in the baseline: half the exponent range by a multiplication, as the format's own
// subnormals are normal floats.
HLA_INLINE vf half_to_float(vh h) {
  const vu wide = __builtin_convertvector(h, vu);
  const vu sign = (wide & 0x8000u) << 16;
  const vu magnitude = (wide & 0x7fffu) << 13;
  const vf finite = (vf)magnitude * 0x1p112f;
  const vu special = magnitude | 0x7f800000u;
  const vi is_special = (vi)(magnitude >= 0x0f800000u);
  return (vf)(sign | ((vu)is_special & special) | (~(vu)is_special & (vu)finite));
}
HLA_INLINE vh float_to_half(vf f) {
  const vu bits = (vu)f;
  const vu sign = (bits >> 16) & 0x8000u;
  const vu magnitude = bits & 0x7fffffffu;
  // Normal halves: rebias, round to nearest even on the 13 bits that fall off.
  const vu rounded = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Subnormal halves: adding 0.5 aligns the bits so that the addition itself rounds.
  const vu subnormal = (vu)((vf)magnitude + 0.5f) - 0x3f000000u;
  const vu is_subnormal = (vu)(magnitude < 0x38800000u);
  const vu is_overflow = (vu)(magnitude >= 0x477ff000u);
  const vu is_nan = (vu)(magnitude > 0x7f800000u);
  vu half = (is_subnormal & subnormal) | (~is_subnormal & rounded);
  half = (is_overflow & 0x7c00u) | (~is_overflow & half);
  half = (is_nan & 0x7e00u) | (~is_nan & half);
  return __builtin_convertvector(half | sign, vh);
}
#elif HLA_LANES == 8
HLA_INLINE vf half_to_float(vh h) { return (vf)_mm256_cvtph_ps((__m128i)h); }
HLA_INLINE vh float_to_half(vf f) { return (vh)_mm256_cvtps_ph((__m256)f, _MM_FROUND_TO_NEAREST_INT); }
#else
HLA_INLINE vf half_to_float(vh h) { return (vf)_mm512_maskz_cvtph_ps(0xffff, (__m256i)h); }
HLA_INLINE vh float_to_half(vf f) {
  return (vh)_mm512_maskz_cvtps_ph(0xffff, (__m512)f, _MM_FROUND_TO_NEAREST_INT);
}
#endif

HLA_INLINE vf bfloat_to_float(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }
HLA_INLINE vh float_to_bfloat(vf f) {
  const vu bits = (vu)f;
  const vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const vu quiet = (bits >> 16) | 0x40u;
  const vu is_nan = (vu)((bits & 0x7fffffffu) > 0x7f800000u);
  return __builtin_convertvector((is_nan & quiet) | (~is_nan & rounded), vh);
}

HLA_INLINE vf convert(vh h, Float16) { return half_to_float(h); }
HLA_INLINE vf convert(vh h, Bfloat16) { return bfloat_to_float(h); }
HLA_INLINE vh convert(vf f, Float16) { return float_to_half(f); }
HLA_INLINE vh convert(vf f, Bfloat16) { return float_to_bfloat(f); }

template <typename E>
HLA_INLINE vf load_as(const uint16_t* p) {
  return convert((vh)*reinterpret_cast<const vh_unaligned*>(p), E{});
}
template <typename E>
HLA_INLINE vf load_as(const float* p) {
  return load(p);
}
template <typename E>
HLA_INLINE void store_as(uint16_t* p, vf v) {
  *reinterpret_cast<vh_unaligned*>(p) = convert(v, E{});
}
template <typename E>
HLA_INLINE void store_as(float* p, vf v) {
  store(p, v);
}

#if HLA_LANES == 16
template <typename E>
HLA_INLINE vf load_part(const float* p, int64_t n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
}
template <typename E>
HLA_INLINE vf load_part(const uint16_t* p, int64_t n) {
  return convert((vh)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), p), E{});
}
template <typename E>
HLA_INLINE void store_part(float* p, vf v, int64_t n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
}
template <typename E>
HLA_INLINE void store_part(uint16_t* p, vf v, int64_t n) {
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1u), (__m256i)convert(v, E{}));
}
#else
template <typename E, typename S>
HLA_INLINE vf load_part(const S* p, int64_t n) {
  S whole[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) whole[i] = p[i];
  return load_as<E>(whole);
}
template <typename E, typename S>
HLA_INLINE void store_part(S* p, vf v, int64_t n) {
  S whole[kLanes];
  store_as<E>(whole, v);
  for (int64_t i = 0; i < n; ++i) p[i] = whole[i];
}
#endif

HLA_INLINE float sum(vf v) {
#if HLA_LANES >= 16
  v += HLA_SHUFFLE(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  v += HLA_SHUFFLE(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
#elif HLA_LANES >= 8
  v += HLA_SHUFFLE(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
#endif
  return (v[0] + v[2]) + (v[1] + v[3]);
}

}  // namespace
}  // namespace hla
