#include "base/attention_tile.h"
#include "ops/cached_attention/cached_attention.h"
#include "ops/cached_attention/paged_keys.h"

namespace emu::EMU_ISA {
namespace {

// Rows `rows`, all of one slot, for the query heads of one key head.
template <class Element>
void AttendHead(const CachedAttentionShape& shape, const CachedAttentionInputs& inputs, int64_t key_head,
                Rows rows, void* scratch, float* out) {
  const PagedCache& cache = shape.cache;
  const int64_t width = cache.width, shared = shape.heads / cache.heads;
  const int64_t count = (rows.end - rows.begin) * shared;
  const AttentionWorkspace work = CarveWorkspace(scratch, count, width);
  int64_t at = 0;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    for (int64_t head = key_head * shared; head < (key_head + 1) * shared; ++head, ++at) {
      work.rows.queries[at] = inputs.q + (r * shape.heads + head) * width;
      work.rows.results[at] = out + (r * shape.heads + head) * width;
      work.rows.seen[at] = inputs.places.position[r] + 1;
    }
  }
  const int64_t part = cache.page_rows * width;  // of a page, a head's
  PagedKeys<Element> keys;
  keys.keys = static_cast<const Element*>(inputs.key_cache) + key_head * part;
  keys.values = static_cast<const Element*>(inputs.value_cache) + key_head * part;
  keys.pages = inputs.places.page_table + inputs.places.slot[rows.begin] * cache.pages_per_slot;
  keys.page_rows = cache.page_rows;
  keys.page_shift = (cache.page_rows & (cache.page_rows - 1)) == 0 ? __builtin_ctzll(cache.page_rows) : -1;
  keys.page_elements = cache.heads * part;
  keys.width = width;
  AttendRows(work, count, width, shape.scale, false, keys);
}

template <class Element>
void AttendPiece(const CachedAttentionShape& shape, const CachedAttentionInputs& inputs, Rows key_heads,
                 Rows rows, void* scratch, float* out) {
  if (inputs.places.slot[rows.begin] >= 0) {
    for (int64_t key_head = key_heads.begin; key_head < key_heads.end; ++key_head)
      AttendHead<Element>(shape, inputs, key_head, rows, scratch, out);
    return;
  }
  const int64_t width = shape.heads / shape.cache.heads * shape.cache.width;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    float* zeros = out + r * shape.heads * shape.cache.width;
    for (int64_t i = key_heads.begin * width; i < key_heads.end * width; ++i) zeros[i] = 0;
  }
}

}  // namespace

const CachedAttentionKernels cached_attention = {AttendPiece<float>, AttendPiece<Bf16>};

}  // namespace emu::EMU_ISA
