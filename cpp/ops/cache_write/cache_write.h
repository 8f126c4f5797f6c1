// cacheWrite: row r of `rows` becomes position position[r] of slot slot[r] in the cache (base/paged_cache.h),
// rounded to the cache's type (nearest, ties to even). Slot -1: the row is left out. Of two rows with the
// same place the later one stays.
//
// cache [P,G,K,Z] of keys or [P,G,Z,K] of values, f32 or bf16, updated in place; rows [R,G,K] f32. A task
// takes some heads of all rows, so that the order of the rows holds whatever the threads do. Slots, positions
// and pages were checked.
#pragma once

#include "base/bf16.h"
#include "base/isa.h"
#include "base/paged_cache.h"
#include "base/tensor_type.h"

namespace emu {

// How far apart neighbours lie within the part of a page that belongs to one head.
struct PartStrides {
  int64_t position;
  int64_t element;
};

struct CacheWriteKernels {
  // Heads `heads` of all rows.
  void (*f32_heads)(const PagedCache& cache, PartStrides strides, const CachePlaces& places,
                    const float* rows, int64_t row_count, Rows heads, float* to);
  void (*bf16_heads)(const PagedCache& cache, PartStrides strides, const CachePlaces& places,
                     const float* rows, int64_t row_count, Rows heads, Bf16* to);
};

EMU_DECLARE_KERNELS(CacheWriteKernels, cache_write)

}  // namespace emu
