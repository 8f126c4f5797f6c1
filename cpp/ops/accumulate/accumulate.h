// accumulate: state[i] = keep * state[i] + factor * x[i]; with keep 0 the old contents are not read.
//
// state, x f32 of one shape; the state is updated in place and may be x. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct AccumulateKernels {
  void (*elements)(float keep, float factor, const float* x, Rows elements, float* state);
};

EMU_DECLARE_KERNELS(AccumulateKernels, accumulate)

}  // namespace emu
