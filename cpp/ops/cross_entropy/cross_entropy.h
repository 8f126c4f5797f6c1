// crossEntropy: out[r] = log(sum over v of exp(logits[r,v])) - logits[r,target[r]]; 0 where target[r] is
// -100.
//
// R rows, V width. logits f32 [R,V], target i32 [R], out f32 [R]. Every target was checked to be -100 or in
// 0..V-1 before the run. The order of the sum depends on V alone. Thread-safe; no scratch. Absolute error
// about 1e-7 of the larger of 1 and the result.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct CrossEntropyKernels {
  void (*rows)(int64_t width, const float* logits, const int32_t* target, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(CrossEntropyKernels, cross_entropy)

}  // namespace emu
