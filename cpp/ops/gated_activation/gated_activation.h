// gatedActivation: out[i] = act(gate[i]) * up[i] with act of base/activation.h.
//
// gate, up, out f32 of one shape; out may be either input. Agrees with the exact function to about 2e-7 of
// the largest result. Thread-safe; no scratch.
#pragma once

#include "base/activation.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct GatedActivationKernels {
  void (*elements)(ActivationKind kind, const float* gate, const float* up, Rows elements, float* out);
};

EMU_DECLARE_KERNELS(GatedActivationKernels, gated_activation)

}  // namespace emu
