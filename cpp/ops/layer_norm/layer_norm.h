// layerNorm: out[r,d] = (x[r,d] - mean) / sqrt(variance + epsilon) * weight[d] + bias[d], with mean and
// biased variance over d.
//
// R rows, D width. x, out [R,D], weight and bias [D] are f32, row-major, contiguous; out may be x. A first
// pass finds the mean m in f32; a second sums d = x - m and d², so the rounding of m is taken out again:
//   mean = m + sum(d)/D,   variance = (sum(d²) - sum(d)²/D) / D
// which keeps a row accurate to about 1e-6 even where its mean is thousands of its deviations. The order of
// the sums depends on D alone. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct LayerNormShape {
  int64_t width;
  float epsilon;
};

struct LayerNormKernels {
  void (*rows)(const LayerNormShape& shape, const float* x, const float* weight, const float* bias, Rows rows,
               float* out);
};

EMU_DECLARE_KERNELS(LayerNormKernels, layer_norm)

}  // namespace emu
