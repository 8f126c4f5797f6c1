// convolution: out = act(correlation of x with weight + bias) + residual, channels last.
//
// x f32[B,H,W,C], weight f32|bf16[O,C,kh,kw], bias f32[O]?, residual f32[B,H',W',O]? -> f32[B,H',W',O] with
// H' = floor((H + top + bottom - kh) / stride) + 1; all contiguous; out may alias no input. Attributes:
// stride, padding [top, bottom, left, right] of zeros, activation (base/activation.h). With a bf16 weight x
// is rounded to bf16 first; products accumulate in f32 in ascending order of (kh, kw, C), so a pixel's result
// depends on its patch alone.
//
// An implicit matrix product: the left operand's rows are the patches of all output pixels, read straight
// from x one block of a row at a time; nothing of that size is ever stored.
//
// A weight in Layout::kConvolution is packed already (base/gemm/packing.h). One in Layout::kPlain is packed
// into shared scratch by a first phase, which costs as much memory as the weight.
#pragma once

#include "base/op.h"

namespace emu {

Status PlanConvolution(const CallTypes& call, CallPlan* plan);

}  // namespace emu
