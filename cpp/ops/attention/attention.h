// attention: out[b,t,h] = Σ over s of softmax over s(scale · q[b,t,h]·k[b,s,g] + bias[h,t,s]) · v[b,s,g],
// with g = floor(h / (H / G)). Query t sees keys s >= firstKey[b,t], and when causal only s <= t + S - T. A
// query that sees no key, or only scores of -infinity, gives zeros.
//
// B batch, T query positions, S key positions, H heads, G key heads, K head width. q and out [B,T,H,K], k and
// v [B,S,G,K], bias [H,T,S] or null, all f32, firstKey i32 [B,T] in 0..S or null, row-major, contiguous; out
// aliases nothing. Key tiles that no query of a block sees are skipped. Scores are never held for more than
// six rows and one key tile. Thread-safe; scratch of AttentionScratchBytes(rows * H/G, K) bytes, 64-byte
// aligned. A row's bits depend on its own query, keys and bias only. Agrees with the reference executor to
// about 1e-6 of the largest value.
#pragma once

#include "base/attention_shape.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct AttentionInputs {
  const float* q;
  const float* k;
  const float* v;
  const float* bias;
  const int32_t* first_key;
};

struct AttentionKernels {
  // Queries `rows` of one batch element, for all query heads of one key head.
  void (*block)(const AttentionShape& shape, const AttentionInputs& inputs, int64_t batch, int64_t key_head,
                Rows rows, void* scratch, float* out);
};

EMU_DECLARE_KERNELS(AttentionKernels, attention)

}  // namespace emu
