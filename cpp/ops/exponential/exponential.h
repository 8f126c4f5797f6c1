// exponential: out[i] = e^x[i], to about 1 ulp.
//
// x, out f32 of one shape; out may be x. Infinite above 88.73, 0 below -104. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct ExponentialKernels {
  void (*elements)(const float* x, Rows elements, float* out);
};

EMU_DECLARE_KERNELS(ExponentialKernels, exponential)

}  // namespace emu
