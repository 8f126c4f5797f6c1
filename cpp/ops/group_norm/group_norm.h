// groupNorm: out[b,p,c] = act((x[b,p,c] - mean) / sqrt(variance + epsilon) * weight[c] + bias[c]), with mean
// and biased variance over all places p and the channels of c's group.
//
// B pictures, P places, C channels last, G groups of C/G neighbouring channels. x, out [B,P,C], weight and
// bias [C] are f32; out may be x.
//
// Three phases. `measure` takes blocks of places, whose number depends on P and C alone, and writes for every
// group a centre m (about the block's mean), sum(x - m) and sum((x - m)²). `combine` joins the blocks of one
// group in order, in double:
//   mean = sum(n m + sum(x-m)) / N,   N variance = sum(sum((x-m)²) + 2 (m - mean) sum(x-m) + n (m - mean)²)
// and writes per channel what `apply` needs: out = act((x - centre) * factor + offset). The centre is the
// mean rounded to f32, and the offset gives back what the rounding took, so the result is good to about 1e-6
// even where the mean is thousands of deviations. Nothing depends on threads or on the other pictures of the
// batch.
#pragma once

#include "base/group_shape.h"
#include "base/isa.h"

namespace emu {

struct GroupNormKernels {
  // x: the picture's first place. moments [G]: those of this block. scratch: 3 C floats.
  void (*measure)(const GroupNormShape& shape, const float* x, int64_t block, float* scratch,
                  BlockMoments* moments);
  // moments [blocks,G] of one picture. affine [3,C]: centre, factor and offset of the group's channels are
  // written.
  void (*combine)(const GroupNormShape& shape, const BlockMoments* moments, int64_t group,
                  const float* weight, const float* bias, float* affine);
  void (*apply)(const GroupNormShape& shape, const float* x, int64_t block, const float* affine, float* out);
};

EMU_DECLARE_KERNELS(GroupNormKernels, group_norm)

}  // namespace emu
