// attentionGradient: the gradients of attention by q, k, v and bias. With P the softmax weights of one query
// head, recomputed here, and sums as products of matrices:
//   dv = Pᵀ dout,  dscores = P (dout vᵀ - rows of out · dout),  dq = scale dscores k,  dk = scale dscoresᵀ q,
//   dbias[h,t,s] = sum over b of dscores
// (Dao et al. 2022). A query that sees no key has no gradient and gives none.
//
// Letters and layout as in attention; dq [B,T,H,K], dk and dv [B,S,G,K], dbias [H,T,S] or null. Outputs alias
// nothing. One call does all queries of one batch element and of the heads that share a key head, in blocks
// of a few rows by all keys they see, so that dk and dv need no other thread; heads and blocks follow in
// fixed order. dbias is added to, so the elements of a batch must come one after another. Thread-safe;
// scratch of AttentionGradientScratchBytes, 64-byte aligned. Agrees with the reference executor to about 2e-6
// of the largest value.
#pragma once

#include "base/attention_shape.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct AttentionGradientInputs {
  const float* q;
  const float* k;
  const float* v;
  const float* bias;
  const int32_t* first_key;
  const float* out;
  const float* dout;
};

struct AttentionGradientOutputs {
  float* dq;
  float* dk;
  float* dv;
  float* dbias;
};

struct AttentionGradientKernels {
  void (*key_head)(const AttentionShape& shape, const AttentionGradientInputs& inputs, int64_t batch,
                   int64_t key_head, void* scratch, const AttentionGradientOutputs& outputs);
};

EMU_DECLARE_KERNELS(AttentionGradientKernels, attention_gradient)

// Query rows of a block, a multiple of the six that the register-blocked loops take: many enough to pay for
// walking over the keys, few enough that the scores of a block stay in the second-level cache. Part of what a
// result is, to the bit.
inline constexpr int64_t kGradientPanelRows = 6;
inline int64_t GradientBlockRows(int64_t keys) {
  const int64_t rows = 49152 / (keys + 1) / kGradientPanelRows * kGradientPanelRows;
  return rows < 12 ? 12 : (rows > 48 ? 48 : rows);
}

// Floats from one row of scores to the next: the keys, room for a panel that reaches beyond them, and an odd
// number of cache lines, so that a column of scores does not fall into few sets of the cache.
inline int64_t GradientScoreStride(int64_t keys) { return ((keys + 31) / 16 | 1) * 16; }

inline int64_t AttentionGradientScratchBytes(const AttentionShape& shape) {
  const int64_t padded_width = (shape.width + 15) / 16 * 16, padded_keys = (shape.keys + 15) / 16 * 16 + 128;
  const int64_t rows = GradientBlockRows(shape.keys);
  return (5 * padded_keys * padded_width + 2 * rows * GradientScoreStride(shape.keys) +
          3 * rows * padded_width + 6 * rows) *
             4 +
         16 * 64;  // parts begin at 64 bytes
}

}  // namespace emu
