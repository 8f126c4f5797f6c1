// cast: x f32 or bf16 -> the same shape as f32 or bf16, rounded to nearest even; NaN stays NaN.
//
// out may not overlap x. Thread-safe; no scratch. Exact where the target is not narrower.
#pragma once

#include "base/bf16.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct CastKernels {
  void (*widen)(const Bf16* x, Rows elements, float* out);
  void (*round)(const float* x, Rows elements, Bf16* out);
};

EMU_DECLARE_KERNELS(CastKernels, cast)

}  // namespace emu
