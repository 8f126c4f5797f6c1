// Rows of bf16 to and from f32, for *_cpu.cc files. Exact or correctly rounded, so no order matters.
#pragma once

#include "base/bf16.h"
#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

[[maybe_unused]] inline void WidenRow(const Bf16* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = ToFloat(from[i]);
}

// Rounds to nearest, ties to even.
[[maybe_unused]] inline void RoundRow(const float* from, int64_t count, Bf16* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = ToBf16(from[i]);
}

}  // namespace
}  // namespace emu::EMU_ISA
