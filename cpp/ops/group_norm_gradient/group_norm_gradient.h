// groupNormGradient: the gradients of groupNorm, its activation included. With f = 1 / sqrt(variance +
// epsilon), n = (x - mean) f, e = dy act'(n weight + bias) and means over the places p and channels of a
// group:
//   dx[b,p,c] = f (w e - mean(w e) - n mean(w e n)),  dweight[c] = sum over b and p of e n,  dbias[c] of e
//
// B pictures, P places, C channels last, G groups. x, dy, dx [B,P,C], weight, bias, dweight, dbias [C] are
// f32; outputs alias nothing. Phases, with blocks of places whose number depends on P and C alone:
//   measure  the moments of each block, as groupNorm
//   centre   joins them to what n needs
//   spread   writes e to dx and the block's sums of e and e n per channel
//   level    joins these sums per picture, in double, and finds the two means of each group
//   apply    writes dx
//   total    adds up the pictures' sums in order
// Nothing of dx depends on threads or on the other pictures of the batch.
#pragma once

#include "base/group_shape.h"
#include "base/isa.h"

namespace emu {

// What a picture's kernels pass on, in floats per channel: `centre` writes the first three (n = ((x - centre)
// - correction) * factor), `level` the others: mean(w e) and mean(w e n) of the group, and the picture's sums
// of e n and e.
struct GroupNormGradientRows {
  static constexpr int64_t kCentre = 0, kCorrection = 1, kFactor = 2, kLevel = 3, kAlong = 4, kWeightSum = 5,
                           kBiasSum = 6, kCount = 7;
};

struct GroupNormGradientKernels {
  // As in groupNorm.
  void (*measure)(const GroupNormShape& shape, const float* x, int64_t block, float* scratch,
                  BlockMoments* moments);
  void (*centre)(const GroupNormShape& shape, const BlockMoments* moments, int64_t group, float* rows);
  // partial [2,C]: the block's sums of e n and of e are written.
  void (*spread)(const GroupNormShape& shape, const float* x, const float* weight, const float* bias,
                 const float* dy, int64_t block, const float* rows, float* dx, float* partial);
  // partial [blocks,2,C] of the picture.
  void (*level)(const GroupNormShape& shape, const float* partial, const float* weight, int64_t group,
                float* rows);
  void (*apply)(const GroupNormShape& shape, const float* x, const float* weight, int64_t block,
                const float* rows, float* dx);
  // out[c] = sum over pictures of rows[picture * stride + c].
  void (*total)(const float* rows, int64_t pictures, int64_t stride, Rows columns, float* out);
};

EMU_DECLARE_KERNELS(GroupNormGradientKernels, group_norm_gradient)

}  // namespace emu
