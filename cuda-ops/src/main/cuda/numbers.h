// Element types, and float32 numbers as sums of bfloat16 terms.
//
// All products run on the tensor cores' bfloat16 path. A number is given to it as 1, 2 or 3 terms, each the rounding of
// what the terms before left over: 8, 16 or 24 bits. Of two numbers' products the terms i and j with i + j below the number
// of terms are taken: 1, 3 or 6 products. bfloat16 has the exponent range of float32, so no product of float16 features
// overflows or vanishes that would not in float32.
#pragma once

#include "device.h"
#include "kernel_args.h"

namespace hla::cuda {

// Two numbers as kTerms words of two bfloat16 each. What is left of an infinite number is zero, not inf - inf.
template <int kTerms>
HLA_DEVICE void split(float low, float high, uint32_t (&terms)[kTerms]) {
#pragma unroll
  for (int i = 0; i < kTerms; ++i) {
    terms[i] = pack_bfloat16(low, high);
    if (i + 1 < kTerms) {
      const float low_term = from_bits(terms[i] << 16);
      const float high_term = from_bits(terms[i] & 0xffff0000u);
      low = low == low_term ? 0.0f : low - low_term;
      high = high == high_term ? 0.0f : high - high_term;
    }
  }
}

// kTerms: how many terms hold a number of the type exactly. terms(): the terms of two neighbouring numbers from their words.
struct Float32 {
  static constexpr Element kElement = Element::kFloat32;
  static constexpr int kTerms = 3;
  using Raw = float;
  static HLA_DEVICE float read(Raw raw) { return raw; }
  static HLA_DEVICE Raw round(float value) { return value; }
  static HLA_DEVICE uint32_t bits(Raw raw) { return to_bits(raw); }
  template <int kCount>
  static HLA_DEVICE void terms(const uint32_t* words, uint32_t (&to)[kCount]) {
    split<kCount>(from_bits(words[0]), from_bits(words[1]), to);
  }
};
struct Float16 {
  static constexpr Element kElement = Element::kFloat16;
  static constexpr int kTerms = 2;
  using Raw = uint16_t;
  static HLA_DEVICE float read(Raw raw) { return from_float16(raw); }
  static HLA_DEVICE Raw round(float value) { return to_float16(value); }
  static HLA_DEVICE uint32_t bits(Raw raw) { return raw; }
  template <int kCount>
  static HLA_DEVICE void terms(const uint32_t* words, uint32_t (&to)[kCount]) {
    split<kCount>(read(static_cast<Raw>(*words)), read(static_cast<Raw>(*words >> 16)), to);
  }
};
struct Bfloat16 {
  static constexpr Element kElement = Element::kBfloat16;
  static constexpr int kTerms = 1;
  using Raw = uint16_t;
  static HLA_DEVICE float read(Raw raw) { return from_bits(static_cast<uint32_t>(raw) << 16); }
  static HLA_DEVICE Raw round(float value) { return static_cast<Raw>(pack_bfloat16(value, 0.0f)); }
  static HLA_DEVICE uint32_t bits(Raw raw) { return raw; }
  template <int kCount>
  static HLA_DEVICE void terms(const uint32_t* words, uint32_t (&to)[kCount]) {
    static_assert(kCount == 1, "one term is exact");
    to[0] = *words;
  }
};

template <int kA, int kB>
struct Smaller {
  static constexpr int kValue = kA < kB ? kA : kB;
};

// Two neighbouring numbers of a tensor, at an address that is a multiple of their size together.
template <typename T>
struct alignas(2 * sizeof(typename T::Raw)) Two {
  typename T::Raw raw[2];
};
template <typename T>
HLA_DEVICE void store_pair(typename T::Raw* to, float first, float second) {
  *reinterpret_cast<Two<T>*>(to) = {{T::round(first), T::round(second)}};
}

// Eight neighbouring numbers of a tensor, on their way from device to shared memory.
template <typename T>
struct Eight {
  static constexpr int kWords = sizeof(typename T::Raw) * 2;
  static constexpr int kInWord = 8 / kWords;
  uint32_t words[kWords];

  // The first `count` of them, zeros after; `aligned` where all may be read at once.
  HLA_DEVICE void read(const typename T::Raw* from, int count, bool aligned) {
    if (count >= 8 && aligned) {
#pragma unroll
      for (int i = 0; i < kWords / 4; ++i) {
        const Word4 four = load_once(reinterpret_cast<const Word4*>(from) + i);
        words[4 * i] = four.x;
        words[4 * i + 1] = four.y;
        words[4 * i + 2] = four.z;
        words[4 * i + 3] = four.w;
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      words[i] = 0;
#pragma unroll
      for (int j = 0; j < kInWord; ++j) {
        if (i * kInWord + j < count) words[i] |= T::bits(from[i * kInWord + j]) << (16 * j);
      }
    }
  }

  // As terms, 16 bytes each, `pitch` numbers apart.
  template <int kTerms>
  HLA_DEVICE void write(uint16_t* to, int pitch) const {
    uint32_t terms[4][kTerms];
#pragma unroll
    for (int i = 0; i < 4; ++i) T::template terms<kTerms>(words + i * kWords / 4, terms[i]);
#pragma unroll
    for (int j = 0; j < kTerms; ++j) {
      *reinterpret_cast<Word4*>(to + j * pitch) = {terms[0][j], terms[1][j], terms[2][j], terms[3][j]};
    }
  }
};

}  // namespace hla::cuda
