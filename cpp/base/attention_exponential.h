// What softmax over a row of scores needs: the exponential, and which lanes hold keys that are seen. Only
// *_cpu.cc files include this.
#pragma once

#include <limits>
#include <utility>

#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

inline constexpr float kLowest = -std::numeric_limits<float>::infinity();

// e^x for x <= 0 to about 1 ulp; exactly 0 below -87 (where e^x is 1.6e-38), NaN for NaN. The steps are those
// of Exp in base/vector_math.h without the care for large and for subnormal results.
inline F32 ExpOfNonPositive(F32 x) {
  const F32 shifted = x * 1.44269504f + 12582912.0f;
  const F32 n = shifted - 12582912.0f;
  const F32 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  F32 p = Splat(1.38131e-3f);
  p = p * r + 8.36942e-3f;
  p = p * r + 4.166846e-2f;
  p = p * r + 1.6666515e-1f;
  p = p * r + 4.9999994e-1f;
  p = (p * r) * r + r + 1.0f;
  // Adds n to the exponent: the low bits of `shifted` hold it, and those of the constant shift out.
  const F32 scaled = (F32)((U32)p + ((U32)shifted << 23));
  return x < -87.0f ? F32{} : (x <= 0.0f ? scaled : x);
}

template <int... kLane>
inline I32 LaneNumbers(std::integer_sequence<int, kLane...>) {
  return I32{kLane...};
}

}  // namespace
}  // namespace emu::EMU_ISA
