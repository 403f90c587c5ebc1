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

// sums += rows * operand for two fragments of 16 rows and two of 8 columns: the products of terms i and j with i + j < kTerms.
//
// The tensor cores cut what they add to a sum instead of rounding it, and with three terms there are 12 such cuts in 16
// products. There the products, the smallest first, are added up on their own, and their sum is added to the whole in
// float32, which rounds: without that the grid's worst case (a square of 11 features, seven keys) was off by 8.5e-5.
template <int kTerms, int kOperandTerms>
HLA_DEVICE void multiply_terms(float (&left)[2][4], float (&right)[2][4], const uint32_t (&rows)[2][kTerms][4],
                               const uint32_t (&operand)[kOperandTerms][4]) {
  constexpr bool kApart = kTerms == 3;
  float own_left[2][4] = {}, own_right[2][4] = {};
#pragma unroll
  for (int order = kTerms - 1; order >= 0; --order) {
#pragma unroll
    for (int i = 0; i <= order; ++i) {
      if (order - i < kOperandTerms) {
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          multiply_add(kApart ? own_left[m] : left[m], rows[m][i], operand[order - i][0], operand[order - i][1]);
          multiply_add(kApart ? own_right[m] : right[m], rows[m][i], operand[order - i][2], operand[order - i][3]);
        }
      }
    }
  }
  if (kApart) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        left[m][c] += own_left[m][c];
        right[m][c] += own_right[m][c];
      }
    }
  }
}

// The same for one fragment of columns.
template <int kTerms, int kOperandTerms>
HLA_DEVICE void multiply_terms(float (&sums)[2][4], const uint32_t (&rows)[2][kTerms][4],
                               const uint32_t (&operand)[kOperandTerms][2]) {
  constexpr bool kApart = kTerms == 3;
  float own[2][4] = {};
#pragma unroll
  for (int order = kTerms - 1; order >= 0; --order) {
#pragma unroll
    for (int i = 0; i <= order; ++i) {
      if (order - i < kOperandTerms) {
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          multiply_add(kApart ? own[m] : sums[m], rows[m][i], operand[order - i][0], operand[order - i][1]);
        }
      }
    }
  }
  if (kApart) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[m][c] += own[m][c];
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

// A bool that is known when a lambda's body is compiled for it.
template <bool kOn>
struct Flag {
  static constexpr bool kValue = kOn;
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
