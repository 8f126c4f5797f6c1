// dropout: out[i] = kept(i) ? x[i] * factor : 0, where element i is kept if word i mod 4 of the Philox4x32-10
// block with counter (i div 4 low, i div 4 high, stream, 0) is at least `threshold`.
//
// x, out f32 of one shape; out may be x. Exact: one product per element; the choice depends on the element's
// index alone. Philox is that of Salmon, Moraes, Dror and Shaw (SC 2011). Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct DropoutChoice {
  uint32_t key[2];
  uint32_t stream;
  uint32_t threshold;  // rate * 2^32
  float factor;        // 1 / (1 - rate)
};

struct DropoutKernels {
  void (*elements)(const DropoutChoice& choice, const float* x, Rows elements, float* out);
};

EMU_DECLARE_KERNELS(DropoutKernels, dropout)

}  // namespace emu
