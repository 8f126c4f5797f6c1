// squaredError: out[r] = mean over d of (prediction[r,d] - target[r,d])².
//
// prediction, target f32[R,D] with D > 0, out f32[R]; out overlaps nothing. Lanes are summed in a fixed tree,
// so a row's result depends on that row alone. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct SquaredErrorKernels {
  void (*rows)(int64_t width, const float* prediction, const float* target, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(SquaredErrorKernels, squared_error)

}  // namespace emu
