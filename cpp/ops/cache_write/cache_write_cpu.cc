#include "base/convert_row.h"
#include "ops/cache_write/cache_write.h"

namespace emu::EMU_ISA {
namespace {

inline void ConvertRow(const float* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}
inline void ConvertRow(const float* from, int64_t count, Bf16* to) { RoundRow(from, count, to); }

template <class Element>
void WriteColumns(const PagedCache& cache, const CachePlaces& places, const float* rows, int64_t row_count,
                  Rows columns, Element* to) {
  for (int64_t row = 0; row < row_count; ++row) {
    const int64_t slot = places.slot[row], position = places.position[row];
    if (slot < 0) continue;
    const int64_t page = places.page_table[slot * cache.pages_per_slot + position / cache.page_rows];
    const int64_t target = page * cache.page_rows + position % cache.page_rows;
    ConvertRow(rows + row * cache.row_width + columns.begin, columns.end - columns.begin,
               to + target * cache.row_width + columns.begin);
  }
}

}  // namespace

const CacheWriteKernels cache_write = {WriteColumns<float>, WriteColumns<Bf16>};

}  // namespace emu::EMU_ISA
