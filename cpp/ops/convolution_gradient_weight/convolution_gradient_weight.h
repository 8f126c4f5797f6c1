// convolutionGradientWeight: dw[o,c,i,j] = sum over pixels p of dy[p,o] times the value of x that place (i,j)
// of the kernel met there.
//
// x f32[B,H,W,C], dy f32[B,H',W',O] -> f32[O,C,kernelHeight,kernelWidth], all contiguous; out may alias no
// input. Attributes: stride, padding [top, bottom, left, right] of the convolution, kernelHeight,
// kernelWidth, precision
// ("bf16" rounds x and dy to nearest even first). Products accumulate in f32 in ascending order of the
// pixels.
//
// An implicit matrix product dyᵀ · patches: each task packs what it needs of the patches itself, one block of
// pixels at a time, so nothing of their size is ever stored. The product [O, kh * kw * C] lies in shared
// scratch until a second phase puts the channels first.
#pragma once

#include "base/op.h"

namespace emu {

Status PlanConvolutionGradientWeight(const CallTypes& call, CallPlan* plan);

}  // namespace emu
