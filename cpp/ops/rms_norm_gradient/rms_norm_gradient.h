// rmsNormGradient: the gradients of rmsNorm. With f = 1 / sqrt(mean(x²) + epsilon), n = x f and means over d:
//   dx[r,d] = f (w dy - n mean(w dy n)),  dweight[d] = sum over r of dy n
//
// R rows, D width. x, dy, dx [R,D], weight, dweight [D] are f32, row-major, contiguous; outputs alias
// nothing. `block` takes a block of rows (base/row_blocks.h), writes their dx and adds up dy n in the order
// of the rows; `sum` adds the blocks in their order. So a row of dx depends on that row alone, and no result
// on threads. Thread-safe.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct RmsNormGradientShape {
  int64_t width;
  float epsilon;
};

struct RmsNormGradientKernels {
  // partial [D]: the block's sum of dy n is written.
  void (*block)(const RmsNormGradientShape& shape, const float* x, const float* weight, const float* dy,
                Rows rows, float* dx, float* partial);
  // out[c] = sum over blocks of partial[block * stride + c].
  void (*sum)(const float* partial, int64_t blocks, int64_t stride, Rows columns, float* out);
};

EMU_DECLARE_KERNELS(RmsNormGradientKernels, rms_norm_gradient)

}  // namespace emu
