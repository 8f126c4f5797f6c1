// cachedAttention: row r attends to positions 0..position[r] of its slot,
//   out[r,h] = Σ over s of softmax over s(scale · q[r,h]·k[s,g]) · v[s,g],  g = floor(h / (H / G)),
// where k[s] and v[s] lie in the caches where base/paged_cache.h says for (slot[r], s). A row of slot -1
// gives zeros.
//
// R rows, H heads, G key heads, K head width. q and out [R,H,K] f32; keyCache [P,G,K,Z] and valueCache
// [P,G,Z,K] both f32 or both bf16 (widened exactly), row-major, contiguous; out aliases nothing. Rows of one
// slot that follow one another share the work on its keys. Thread-safe; scratch of AttentionScratchBytes(rows
// * H/G, K) bytes, 64-byte aligned. A row's bits depend on its own query and the cached values of its slot
// only: neither on the page layout nor on the other rows, and they are those of attention. Slots, positions
// and pages were checked.
#pragma once

#include "base/isa.h"
#include "base/paged_cache.h"
#include "base/tensor_type.h"

namespace emu {

struct CachedAttentionShape {
  int64_t heads;
  float scale;
  PagedCache cache;
};

struct CachedAttentionInputs {
  const float* q;
  const void* key_cache;
  const void* value_cache;
  CachePlaces places;
};

// Rows `rows`, all of one slot, for all query heads of key heads `key_heads`.
typedef void CachedAttentionKernel(const CachedAttentionShape& shape, const CachedAttentionInputs& inputs,
                                   Rows key_heads, Rows rows, void* scratch, float* out);

struct CachedAttentionKernels {
  CachedAttentionKernel* f32_piece;
  CachedAttentionKernel* bf16_piece;
};

EMU_DECLARE_KERNELS(CachedAttentionKernels, cached_attention)

}  // namespace emu
