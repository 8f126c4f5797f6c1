// The product of two ordinary values, which matmul writes and accumulateMatmul adds to a state.
//
// A first phase packs b into shared scratch, straight from the layout and dtype it has, and widens a if that
// is bf16; a is otherwise read where it lies, transposed or not, block by block.
#pragma once

#include "base/op.h"

namespace emu {

// Inputs a and b with the attributes of matmul; with `adds` a state before them, which is also the output.
Status PlanProduct(const CallTypes& call, bool adds, CallPlan* plan);

}  // namespace emu
