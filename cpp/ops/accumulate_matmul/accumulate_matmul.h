// accumulateMatmul: state[m,n] += sum over k of op(a)[m,k] op(b)[k,n]: a weight's gradient goes into its
// state without ever being a value of its own.
//
// state f32[M,N], updated in place; a, b and attributes as in matmul, and neither of them the state. The sum
// of a product is complete before the state is added, so the state has the bits that matmul and accumulate
// give. How it is done: base/gemm/product.h.
#pragma once

#include "base/op.h"

namespace emu {

Status PlanAccumulateMatmul(const CallTypes& call, CallPlan* plan);

}  // namespace emu
