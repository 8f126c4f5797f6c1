#include "base/attention_tile.h"
#include "ops/cached_attention/cached_attention.h"

namespace emu::EMU_ISA {
namespace {

// Rows `rows`, all of one slot.
template <class Element>
void AttendSlot(const CachedAttentionShape& shape, const CachedAttentionInputs& inputs, int64_t key_head,
                Rows rows, void* scratch, float* out) {
  const int64_t shared = shape.heads / shape.key_heads;
  const int64_t count = (rows.end - rows.begin) * shared;
  const AttentionWorkspace work = CarveWorkspace(scratch, count, shape.width);
  int64_t at = 0;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    for (int64_t head = key_head * shared; head < (key_head + 1) * shared; ++head, ++at) {
      work.rows.queries[at] = inputs.q + (r * shape.heads + head) * shape.width;
      work.rows.results[at] = out + (r * shape.heads + head) * shape.width;
      work.rows.seen[at] = inputs.places.position[r] + 1;
    }
  }
  const PagedCache& cache = shape.cache;
  const int32_t* pages = inputs.places.page_table + inputs.places.slot[rows.begin] * cache.pages_per_slot;
  const Element* keys = static_cast<const Element*>(inputs.key_cache) + key_head * shape.width;
  const Element* values = static_cast<const Element*>(inputs.value_cache) + key_head * shape.width;
  const auto locate = [&](int64_t begin, int64_t key_count, const void** key_rows, const void** value_rows) {
    int64_t page = begin / cache.page_rows, in_page = begin % cache.page_rows;
    for (int64_t s = 0; s < key_count; ++s) {
      const int64_t start = (pages[page] * cache.page_rows + in_page) * cache.row_width;
      key_rows[s] = keys + start;
      value_rows[s] = values + start;
      if (++in_page == cache.page_rows) {
        in_page = 0;
        ++page;
      }
    }
  };
  AttendRows<Element>(work, count, shape.width, shape.scale, false, locate);
}

template <class Element>
void CachedAttentionBlock(const CachedAttentionShape& shape, const CachedAttentionInputs& inputs,
                          int64_t key_head, Rows rows, void* scratch, float* out) {
  const int64_t shared = shape.heads / shape.key_heads;
  const int32_t* slot = inputs.places.slot;
  for (int64_t begin = rows.begin, end; begin < rows.end; begin = end) {
    for (end = begin + 1; end < rows.end && slot[end] == slot[begin];) ++end;
    if (slot[begin] >= 0) {
      AttendSlot<Element>(shape, inputs, key_head, {begin, end}, scratch, out);
      continue;
    }
    for (int64_t r = begin; r < end; ++r) {
      float* zeros = out + (r * shape.heads + key_head * shared) * shape.width;
      for (int64_t i = 0; i < shared * shape.width; ++i) zeros[i] = 0;
    }
  }
}

}  // namespace

const CachedAttentionKernels cached_attention = {CachedAttentionBlock<float>, CachedAttentionBlock<Bf16>};

}  // namespace emu::EMU_ISA
