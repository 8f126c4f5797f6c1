// logSoftmax: out[r,v] = x[r,v] - log(sum over v of exp(x[r,v])).
//
// R rows, V width. x, out f32 [R,V]; out may be x. The order of the sum depends on V alone. Thread-safe; no
// scratch. Absolute error about 1e-7 of the largest |out|.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct LogSoftmaxKernels {
  void (*rows)(int64_t width, const float* x, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(LogSoftmaxKernels, log_softmax)

}  // namespace emu
