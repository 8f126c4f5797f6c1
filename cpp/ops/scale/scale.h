// scale: out[i] = x[i] * factor + offset.
//
// x, out f32 of one shape; out may be x. One rounding where the instruction set has a fused multiply-add,
// else two. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct ScaleKernels {
  void (*elements)(float factor, float offset, const float* x, Rows elements, float* out);
};

EMU_DECLARE_KERNELS(ScaleKernels, scale)

}  // namespace emu
