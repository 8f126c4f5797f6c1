// logSoftmaxGradient: out[r,v] = dy[r,v] - exp(y[r,v]) * sum over v of dy[r,v], where y is what logSoftmax
// made.
//
// R rows, V width. y, dy, out f32 [R,V]; out may be dy. The order of the sum depends on V alone. Thread-safe;
// no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct LogSoftmaxGradientKernels {
  void (*rows)(int64_t width, const float* y, const float* dy, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(LogSoftmaxGradientKernels, log_softmax_gradient)

}  // namespace emu
