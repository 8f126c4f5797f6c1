// Copies of runs of floats: what the ops that only move memory are made of. memcpy is already tuned per
// machine, so these need no kernel per instruction set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/tensor_type.h"

namespace emu {

inline void CopyFloats(const float* from, int64_t count, float* to) {
  // An empty tensor may have no memory at all, and memcpy may not be given null.
  if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

// out[n,:] = x[index[n],:] for the rows n of `rows`.
inline void GatherRows(int64_t width, const float* x, const int32_t* index, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    CopyFloats(x + index[row] * width, width, out + row * width);
  }
}

}  // namespace emu
