// Vectors of the 32-bit words that products read: an f32, or a pair of bf16 with the earlier value in the low
// half. Only base/gemm/*_cpu.cc include this.
#pragma once

#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

typedef uint16_t U16 __attribute__((vector_size(kVectorBytes / 2)));

[[maybe_unused]] inline U32 LoadWords(const void* from) {
  U32 words;
  __builtin_memcpy(&words, from, sizeof words);
  return words;
}
[[maybe_unused]] inline void StoreWords(void* to, U32 words) { __builtin_memcpy(to, &words, sizeof words); }

// kLanes bf16 values, each in the low half of a word.
[[maybe_unused]] inline U32 LoadHalves(const void* from) {
  U16 halves;
  __builtin_memcpy(&halves, from, sizeof halves);
  return __builtin_convertvector(halves, U32);
}

#if defined(__AVX512BF16__)

// Pairs of neighbouring values of one row, rounded (nearest even; NaN stays NaN; subnormal values become
// zeros, as which the products read them anyway): 2 kLanes values become kLanes words.
[[maybe_unused]] inline U32 RoundNeighbours(U32 first, U32 second) {
  return (U32)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}

// Pairs of the rounded values of two rows.
[[maybe_unused]] inline U32 RoundPairs(U32 first, U32 second) {
  alignas(64) static constexpr uint16_t kInterleave[2 * kLanes] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                                   21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                                   11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (U32)_mm512_permutexvar_epi16(_mm512_load_si512(kInterleave),
                                       (__m512i)RoundNeighbours(first, second));
}

#else

// Each value rounded to bf16 (nearest even; NaN stays NaN) in the high half of its word; the low half is 0.
[[maybe_unused]] inline U32 RoundToHalves(U32 bits) {
  const U32 rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const F32 value = (F32)bits;
  const U32 kept = value != value ? bits | 0x400000u : rounded;
  return kept & 0xffff0000u;
}

// Pairs of the rounded values of two rows.
[[maybe_unused]] inline U32 RoundPairs(U32 first, U32 second) {
  return (RoundToHalves(first) >> 16) | RoundToHalves(second);
}

template <int... kLane>
inline U32 EveryOther(U32 a, U32 b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, (2 * kLane)...);
}
template <int... kLane>
inline U32 EveryOddOne(U32 a, U32 b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, (2 * kLane + 1)...);
}

// Pairs of neighbouring values of one row, rounded: 2 kLanes values become kLanes words.
[[maybe_unused]] inline U32 RoundNeighbours(U32 first, U32 second) {
  constexpr auto kAll = std::make_integer_sequence<int, kLanes>();
  return RoundPairs(EveryOther(first, second, kAll), EveryOddOne(first, second, kAll));
}

#endif

template <int kWidth, int... kLane>
inline U32 UpperLeft(U32 a, U32 b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, ((kLane & kWidth) ? kLanes + kLane - kWidth : kLane)...);
}
template <int kWidth, int... kLane>
inline U32 LowerRight(U32 a, U32 b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, ((kLane & kWidth) ? kLanes + kLane : kLane + kWidth)...);
}

// Transposes a square of words by exchanging ever smaller off-diagonal blocks.
template <int kWidth = kLanes / 2>
[[gnu::always_inline]] inline void Transpose(U32 (&rows)[kLanes]) {
  constexpr auto kAll = std::make_integer_sequence<int, kLanes>();
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kWidth) continue;
    const U32 a = rows[i], b = rows[i + kWidth];
    rows[i] = UpperLeft<kWidth>(a, b, kAll);
    rows[i + kWidth] = LowerRight<kWidth>(a, b, kAll);
  }
  if constexpr (kWidth > 1) Transpose<kWidth / 2>(rows);
}

}  // namespace
}  // namespace emu::EMU_ISA
