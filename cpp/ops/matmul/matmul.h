// matmul: out[m,n] = sum over k of op(a)[m,k] op(b)[k,n], products of ordinary values: gradients and weights
// in training.
//
// a f32|bf16[M,K] ([K,M] when transposeA), b f32|bf16[K,N] ([N,K] when transposeB) -> f32[M,N], all
// contiguous; out may alias no input. Attributes: transposeA, transposeB (0 or 1), precision ("bf16" rounds
// both factors to nearest even first). Products accumulate in f32 in ascending order of K (base/gemm/gemm.h),
// so results do not depend on threads.
// How it is done: base/gemm/product.h.
#pragma once

#include "base/op.h"

namespace emu {

Status PlanMatmul(const CallTypes& call, CallPlan* plan);

}  // namespace emu
