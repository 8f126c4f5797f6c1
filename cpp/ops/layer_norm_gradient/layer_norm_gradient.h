// layerNormGradient: the gradients of layerNorm. With f = 1 / sqrt(variance + epsilon), n = (x - mean) f and
// means over d:
//   dx[r,d] = f (w dy - mean(w dy) - n mean(w dy n)),  dweight[d] = sum over r of dy n,  dbias[d] of dy
//
// R rows, D width. x, dy, dx [R,D], weight, dweight, dbias [D] are f32, row-major, contiguous; outputs alias
// nothing. `block` takes a block of rows (base/row_blocks.h), writes their dx and adds up dy n and dy in the
// order of the rows; `sum` adds the blocks in their order. So a row of dx depends on that row alone, and no
// result on threads. Thread-safe.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct LayerNormGradientShape {
  int64_t width;
  float epsilon;
};

struct LayerNormGradientKernels {
  // partial [2,D]: the block's sums of dy n and of dy are written.
  void (*block)(const LayerNormGradientShape& shape, const float* x, const float* weight, const float* dy,
                Rows rows, float* dx, float* partial);
  // out[c] = sum over blocks of partial[block * stride + c].
  void (*sum)(const float* partial, int64_t blocks, int64_t stride, Rows columns, float* out);
};

EMU_DECLARE_KERNELS(LayerNormGradientKernels, layer_norm_gradient)

}  // namespace emu
