// What softmax over a row of scores needs: the exponential, and which lanes hold keys that are seen. Only
// *_cpu.cc files include this.
#pragma once

#include <limits>
#include <utility>

#include "base/vector_math.h"

namespace emu::EMU_ISA {
namespace {

inline constexpr float kLowest = -std::numeric_limits<float>::infinity();

// e^x for x <= 0 to about 1 ulp; exactly 0 below -87 (where e^x is 1.6e-38), NaN for NaN.
inline F32 ExpOfNonPositive(F32 x) {
  const F32 scaled = ExpOfModest(x);
  return x < -87.0f ? F32{} : (x <= 0.0f ? scaled : x);
}

template <int... kLane>
inline I32 LaneNumbers(std::integer_sequence<int, kLane...>) {
  return I32{kLane...};
}

}  // namespace
}  // namespace emu::EMU_ISA
