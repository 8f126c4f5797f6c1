// add: out = a + b, where b broadcasts to a (base/broadcast.h).
//
// a, b, out f32; out may be a. One rounding per element. Thread-safe; no scratch.
#pragma once

#include "base/broadcast.h"
#include "base/isa.h"

namespace emu {

struct AddKernels {
  BroadcastKernel elements;
};

EMU_DECLARE_KERNELS(AddKernels, add)

}  // namespace emu
