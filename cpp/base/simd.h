// The vector type of the instruction set being compiled, written with the compilers' vector extensions: one
// source for SSE2, AVX2, AVX-512, NEON and WebAssembly. Only *_cpu.cc files include this.
#pragma once

#include <cstddef>
#include <cstdint>

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

// The first `count` < kLanes lanes; LoadFirst fills the others with zeros. A remainder that goes through these
// takes the same operations as a whole vector, so where a row is cut never shows in its result.
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

// Adds the lanes in a fixed binary tree, so that the order is the same for every row.
[[maybe_unused]] inline float SumLanes(F32 value) {
  float lanes[kLanes];
  Store(lanes, value);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace
}  // namespace emu::EMU_ISA
