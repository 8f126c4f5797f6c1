// cachedAttention: row r attends to positions 0..position[r] of its slot,
//   out[r,h] = Σ over s of softmax over s(scale · q[r,h]·k[s,g]) · v[s,g],  g = floor(h / (H / G)),
// where k[s] and v[s] are the rows of the caches that base/paged_cache.h gives for (slot[r], s). A row of
// slot -1 gives zeros.
//
// R rows, H heads, G key heads, K head width. q and out [R,H,K] f32, caches [P,Z,G,K] both f32 or both bf16
// (widened exactly), row-major, contiguous; out aliases nothing. Rows of one slot that follow one another
// share the work on its keys. Thread-safe; scratch of AttentionScratchBytes(rows * H/G, K) bytes, 64-byte
// aligned. A row's bits depend on its own query and the cached values of its slot only: neither on the page
// layout nor on the other rows, and they are those of attention. Slots, positions and pages were checked.
#pragma once

#include "base/isa.h"
#include "base/paged_cache.h"
#include "base/tensor_type.h"

namespace emu {

struct CachedAttentionShape {
  int64_t heads;
  int64_t key_heads;
  int64_t width;
  float scale;
  PagedCache cache;
};

struct CachedAttentionInputs {
  const float* q;
  const void* key_cache;
  const void* value_cache;
  CachePlaces places;
};

// Rows `rows`, for all query heads of one key head.
typedef void CachedAttentionKernel(const CachedAttentionShape& shape, const CachedAttentionInputs& inputs,
                                   int64_t key_head, Rows rows, void* scratch, float* out);

struct CachedAttentionKernels {
  CachedAttentionKernel* f32_block;
  CachedAttentionKernel* bf16_block;
};

EMU_DECLARE_KERNELS(CachedAttentionKernels, cached_attention)

}  // namespace emu
