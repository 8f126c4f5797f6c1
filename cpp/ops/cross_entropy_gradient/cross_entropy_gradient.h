// crossEntropyGradient: out[r,v] = dy[r] (softmax over v of logits[r,v] - [v = target[r]]); zeros where
// target[r] is -100.
//
// R rows, V width. logits, out f32 [R,V], target i32 [R], dy f32 [R]; out aliases nothing. Every target was
// checked to be -100 or in 0..V-1 before the run. The order of the sum depends on V alone. Thread-safe; no
// scratch. A row of out holds e^(x - largest) between two of its passes, so each exponential is taken once.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct CrossEntropyGradientKernels {
  void (*rows)(int64_t width, const float* logits, const int32_t* target, const float* dy, Rows rows,
               float* out);
};

EMU_DECLARE_KERNELS(CrossEntropyGradientKernels, cross_entropy_gradient)

}  // namespace emu
