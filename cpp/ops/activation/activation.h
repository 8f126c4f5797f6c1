// activation: out[i] = act(x[i]) with act of base/activation.h.
//
// x, out f32 of one shape; out may be x. Agrees with the exact function to about 2e-7 of the largest result.
// Thread-safe; no scratch.
#pragma once

#include "base/activation.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct ActivationKernels {
  void (*elements)(ActivationKind kind, const float* x, Rows elements, float* out);
};

EMU_DECLARE_KERNELS(ActivationKernels, activation)

}  // namespace emu
