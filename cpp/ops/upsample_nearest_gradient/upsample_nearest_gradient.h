// upsampleNearestGradient: out[b,i,j,:] = sum of dy[b,y,x,:] over the pixels with floor(y * height / H) = i
// and floor(x * width / W) = j, row by row.
//
// dy f32[B,H,W,C], out f32[B,height,width,C]; out overlaps nothing. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct UpsampleGradientShape {
  int64_t big_height, big_width, height, width, channels;
};

struct UpsampleNearestGradientKernels {
  // `rows` counts the rows of the small pictures, [B,height].
  void (*rows)(const UpsampleGradientShape& shape, const float* dy, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(UpsampleNearestGradientKernels, upsample_nearest_gradient)

}  // namespace emu
