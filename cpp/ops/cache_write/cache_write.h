// cacheWrite: row r of `rows` becomes position position[r] of slot slot[r] in the cache (base/paged_cache.h),
// rounded to the cache's type (nearest, ties to even). Slot -1: the row is left out. Of two rows with the
// same place the later one stays.
//
// cache [P,Z,G,K] f32 or bf16, updated in place; rows [R,G,K] f32. A task takes some columns of all rows, so
// that the order of the rows holds whatever the threads do. Slots, positions and pages were checked.
#pragma once

#include "base/bf16.h"
#include "base/isa.h"
#include "base/paged_cache.h"
#include "base/tensor_type.h"

namespace emu {

struct CacheWriteKernels {
  // Columns `columns` of 0..G*K-1 of all rows.
  void (*f32_columns)(const PagedCache& cache, const CachePlaces& places, const float* rows,
                      int64_t row_count, Rows columns, float* to);
  void (*bf16_columns)(const PagedCache& cache, const CachePlaces& places, const float* rows,
                       int64_t row_count, Rows columns, Bf16* to);
};

EMU_DECLARE_KERNELS(CacheWriteKernels, cache_write)

}  // namespace emu
