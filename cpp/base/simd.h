// The vector type of the instruction set being compiled, written with the compilers' vector extensions: one
// source for SSE2, AVX2, AVX-512, NEON and WebAssembly. Only *_cpu.cc files include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#ifndef EMU_ISA
#error "base/simd.h belongs in kernel files, which are compiled once per instruction set"
#endif

namespace emu::EMU_ISA {
namespace {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif
inline constexpr int kLanes = kVectorBytes / 4;

typedef float F32 __attribute__((vector_size(kVectorBytes)));
typedef int32_t I32 __attribute__((vector_size(kVectorBytes)));
typedef uint32_t U32 __attribute__((vector_size(kVectorBytes)));
// The same, at any address.
typedef float F32Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
typedef int32_t I32Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

[[maybe_unused]] inline F32 Load(const float* from) { return *reinterpret_cast<const F32Unaligned*>(from); }
[[maybe_unused]] inline void Store(float* to, F32 value) { *reinterpret_cast<F32Unaligned*>(to) = value; }
// Subtracting +0 leaves every value as it is, -0 included, so compilers drop it.
[[maybe_unused]] inline F32 Splat(float value) { return value - F32{}; }

// The first `count` < kLanes lanes; LoadFirst fills the others with zeros. A remainder that goes through
// these takes the same operations as a whole vector, so where a row is cut never shows in its result.
#if defined(__AVX512F__)
[[maybe_unused]] inline F32 LoadFirst(const float* from, int64_t count) {
  return (F32)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
[[maybe_unused]] inline void StoreFirst(float* to, F32 value, int64_t count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)value);
}
#else
[[maybe_unused]] inline F32 LoadFirst(const float* from, int64_t count) {
  float lanes[kLanes] = {};
  __builtin_memcpy(lanes, from, static_cast<size_t>(count) * sizeof(float));
  return Load(lanes);
}
[[maybe_unused]] inline void StoreFirst(float* to, F32 value, int64_t count) {
  float lanes[kLanes];
  Store(lanes, value);
  __builtin_memcpy(to, lanes, static_cast<size_t>(count) * sizeof(float));
}
#endif

// Lane i of the result is lane i + kWidth for i < kWidth, and the other way round.
template <int kWidth, int... kLane>
inline F32 ExchangeLanes(F32 value, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(value, value, (kLane ^ kWidth)...);
}

// Adds the lanes in a fixed binary tree, so that the order is the same for every row.
template <int kWidth = kLanes / 2>
inline float SumLanes(F32 value) {
  if constexpr (kWidth == 0) {
    return value[0];
  } else {
    return SumLanes<kWidth / 2>(value +
                                ExchangeLanes<kWidth>(value, std::make_integer_sequence<int, kLanes>()));
  }
}

// The largest lane; NaN lanes do not count.
template <int kWidth = kLanes / 2>
inline float MaxLanes(F32 value) {
  if constexpr (kWidth == 0) {
    return value[0];
  } else {
    const F32 other = ExchangeLanes<kWidth>(value, std::make_integer_sequence<int, kLanes>());
    return MaxLanes<kWidth / 2>(other > value ? other : value);
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
