// linearCrossEntropyWithGradients: with logits = x Wᵀ and g = crossEntropyGradient(logits, target, dy),
//   losses = crossEntropy(logits, target),  dx = g W,  state += gᵀ x.
//
// R rows, D width, V vocabulary. state f32 [V,D], updated in place; x f32 [R,D], weight f32 [V,D], target i32
// [R], dy f32 [R] -> the state, losses f32 [R], dx f32 [R,D]. Attribute `precision`: "bf16" rounds the
// factors of all three products first. Every target was checked to be -100 or in 0..V-1 before the run.
//
// All of it is done for some rows before the next, so that logits, which become g where they lie, are there
// for these alone, and no packed copy of the weight is. losses and dx have the bits of the calls that they
// stand for; the state gets one addition for every piece of rows. Pieces depend on the sizes alone, so
// results do not depend on threads.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct LinearCrossEntropyWithGradientsKernels {
  // Losses of `rows`, whose logits turn into their gradient.
  void (*rows)(int64_t width, const int32_t* target, const float* dy, Rows rows, float* logits,
               float* losses);
};

EMU_DECLARE_KERNELS(LinearCrossEntropyWithGradientsKernels, linear_cross_entropy_with_gradients)

}  // namespace emu
