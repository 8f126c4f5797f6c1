#include "ops/cache_write/cache_write.h"

namespace emu::EMU_ISA {
namespace {

inline float Converted(float value, const float*) { return value; }
inline Bf16 Converted(float value, const Bf16*) { return ToBf16(value); }

template <class Element>
void WriteHeads(const PagedCache& cache, PartStrides strides, const CachePlaces& places, const float* rows,
                int64_t row_count, Rows heads, Element* to) {
  const int64_t part = cache.page_rows * cache.width;
  for (int64_t row = 0; row < row_count; ++row) {
    const int64_t slot = places.slot[row], position = places.position[row];
    if (slot < 0) continue;
    const int64_t page = places.page_table[slot * cache.pages_per_slot + position / cache.page_rows];
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      const float* from = rows + (row * cache.heads + head) * cache.width;
      Element* target =
          to + (page * cache.heads + head) * part + position % cache.page_rows * strides.position;
      for (int64_t i = 0; i < cache.width; ++i) target[i * strides.element] = Converted(from[i], target);
    }
  }
}

}  // namespace

const CacheWriteKernels cache_write = {WriteHeads<float>, WriteHeads<Bf16>};

}  // namespace emu::EMU_ISA
