// A row by vectors, of which the last may hold fewer elements. Only *_cpu.cc files include this.
#pragma once

#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

// Calls use(d, count) for every vector of a row; only the last may have count < kLanes elements.
template <typename Use>
inline void ForEachVector(int64_t width, const Use& use) {
  int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) use(d, static_cast<int64_t>(kLanes));
  if (d < width) use(d, width - d);
}

[[maybe_unused]] inline F32 LoadUpTo(const float* from, int64_t count) {
  return count >= kLanes ? Load(from) : LoadFirst(from, count);
}
[[maybe_unused]] inline void StoreUpTo(float* to, F32 value, int64_t count) {
  if (count >= kLanes) return Store(to, value);
  StoreFirst(to, value, count);
}

}  // namespace
}  // namespace emu::EMU_ISA
