// sumOfSquares: out[0] = sum over i of x[i]².
//
// x f32, any shape; out f32[1]. Blocks of fixed size are summed in f32 by lanes and joined in double
// precision in order, so the result does not depend on threads. Thread-safe.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct SumOfSquaresKernels {
  double (*elements)(const float* x, Rows elements);
};

EMU_DECLARE_KERNELS(SumOfSquaresKernels, sum_of_squares)

}  // namespace emu
