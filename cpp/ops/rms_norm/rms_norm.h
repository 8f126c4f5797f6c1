// rmsNorm: out[r,d] = x[r,d] / sqrt(mean over d of x[r,d]² + epsilon) * weight[d].
//
// R rows, D width. x, out [R,D] and weight [D] are f32, row-major, contiguous; out may be x. Accumulates in
// f32, in an order that depends on D alone. Thread-safe; no scratch. Agrees with the reference executor to
// about 1e-6.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct RmsNormShape {
  int64_t width;
  float epsilon;
};

struct RmsNormKernels {
  void (*rows)(const RmsNormShape& shape, const float* x, const float* weight, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(RmsNormKernels, rms_norm)

}  // namespace emu
