// linear: out = act(x Wᵀ + bias) + residual.
//
// x f32[...,I], weight f32|bf16[O,I], bias f32[O]?, residual f32[...,O]? -> f32[...,O], all contiguous; out
// may alias no input. Attribute `activation` (base/activation.h). With a bf16 weight x is rounded to bf16
// first; products accumulate in f32 in ascending order of I (base/gemm/gemm.h), so a row alone and among
// others are bit-equal.
//
// A weight in Layout::kLinear is packed already (base/gemm/packing.h). One in Layout::kPlain is packed into
// shared scratch by a first phase, which costs as much memory as the weight.
#pragma once

#include "base/op.h"

namespace emu {

Status PlanLinear(const CallTypes& call, CallPlan* plan);

}  // namespace emu
