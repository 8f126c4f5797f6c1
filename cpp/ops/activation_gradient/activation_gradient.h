// activationGradient: out[i] = dy[i] * act'(x[i]) with act of base/activation.h; relu's derivative is 0 at 0.
//
// x, dy, out f32 of one shape; out may be either input. Agrees with the exact derivative to about 5e-7.
// Thread-safe; no scratch.
#pragma once

#include "base/activation.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct ActivationGradientKernels {
  void (*elements)(ActivationKind kind, const float* x, const float* dy, Rows elements, float* out);
};

EMU_DECLARE_KERNELS(ActivationGradientKernels, activation_gradient)

}  // namespace emu
