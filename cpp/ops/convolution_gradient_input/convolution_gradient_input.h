// convolutionGradientInput: dx[y,x,c] = sum over places (i,j) and o of dy[(y + top - i) / stride,
// (x + left - j) / stride, o] w[o,c,i,j], over the places where both divisions leave nothing and dy has the
// pixel.
//
// dy f32[B,H',W',O], weight f32|bf16[O,C,kh,kw] -> f32[B,height,width,C], all contiguous; out may alias no
// input. Attributes: stride, padding [top, bottom, left, right] of the convolution, height and width of its
// picture. With a bf16 weight dy is rounded to bf16 first; products accumulate in f32 in descending order of
// (kh, kw) and ascending order of O.
//
// Implicit matrix products: at stride 1 the convolution of dy with the flipped kernel; at larger strides one
// such convolution for each rest of the pixels' places modulo the stride, with the places of the kernel that
// they meet. A first phase packs the flipped kernels into shared scratch.
#pragma once

#include "base/op.h"

namespace emu {

Status PlanConvolutionGradientInput(const CallTypes& call, CallPlan* plan);

}  // namespace emu
