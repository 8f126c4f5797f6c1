// convolutionGradientWeight: dw[o,c,i,j] = sum over pixels p of dy[p,o] times the value of x that place (i,j)
// of the kernel met there.
//
// x f32[B,H,W,C], dy f32[B,H',W',O] -> f32[O,C,kernelHeight,kernelWidth], all contiguous; out may alias no
// input. Attributes: stride, padding [top, bottom, left, right] of the convolution, kernelHeight,
// kernelWidth, precision
// ("bf16" rounds x and dy to nearest even first). Products accumulate in f32.
//
// An implicit matrix product dyᵀ · patches in one of two ways, which the shape alone decides:
//
// With many outputs each task packs what it needs of the patches itself, one block of pixels at a time, so
// nothing of their size is ever stored; sums run in ascending order of the pixels. The product [O, kh * kw *
// C] lies in shared scratch until a second phase puts the channels first.
//
// With few outputs packing takes longer than multiplying. But along a row of the picture the patches are
// windows into it, one pixel further each, so a row with its padding is laid down once and read at every
// offset. Blocks of output rows, whose number depends on the shape alone, each sum up a product of their own;
// a second phase adds them in order and puts the channels first.
#pragma once

#include "base/convolution.h"
#include "base/isa.h"
#include "base/op.h"

namespace emu {

struct ConvolutionGradientWeightKernels {
  // A row [W,C] of a picture with zeros around it: the (W'-1) * stride + kernelWidth pixels that patches
  // read, then kWindowSlack floats of zeros.
  void (*pad)(const ConvolutionShape& shape, const float* row, float* padded);
  // In place, to the nearest bf16, ties to even.
  void (*round)(float* values, int64_t count);
  // sums[o,n] += sum over q of dy[q,o] * padded[q * stride * C + n], n < kw * C; rows of sums are `step`
  // apart.
  void (*add)(const ConvolutionShape& shape, const float* dy, const float* padded, float* sums, int64_t step);
  // out[c] = sum over blocks of partial[block * stride + c], in order.
  void (*total)(const float* partial, int64_t blocks, int64_t stride, Rows columns, float* out);
};

// Floats behind the last window that a vector may read.
inline constexpr int64_t kWindowSlack = 64;

EMU_DECLARE_KERNELS(ConvolutionGradientWeightKernels, convolution_gradient_weight)

Status PlanConvolutionGradientWeight(const CallTypes& call, CallPlan* plan);

}  // namespace emu
