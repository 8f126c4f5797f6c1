#include "base/attention_tile.h"
#include "ops/attention/attention.h"

namespace emu::EMU_ISA {
namespace {

// Keys and values of one head, `stride` floats apart.
struct KeyRows {
  // It is rare here, and keys in rows have to be transposed for it too.
  static constexpr bool kServesRowsAlone = false;

  const float* keys;
  const float* values;
  int64_t stride;
  int64_t width;

  void Pack(const KeyTile& tile, float* packed_keys, float* packed_values) const {
    const float* rows[kKeyTile];
    for (int64_t key = 0; key < tile.count; ++key) rows[key] = keys + (tile.begin + key) * stride;
    PackKeys(rows, tile.count, width, packed_keys);
    for (int64_t key = 0; key < tile.count; ++key)
      PackValue(values + (tile.begin + key) * stride, key, width, packed_values);
  }
};

void AttentionBlock(const AttentionShape& shape, const AttentionInputs& inputs, int64_t batch,
                    int64_t key_head, Rows rows, void* scratch, float* out) {
  const int64_t shared = shape.heads / shape.key_heads;
  const int64_t count = (rows.end - rows.begin) * shared;
  AttentionWorkspace work = CarveWorkspace(scratch, count, shape.width);
  if (inputs.first_key != nullptr) work.rows.first = work.first_keys;
  int64_t row = 0;
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const KeyRange visible = shape.Visible(inputs.first_key, batch, t);
    for (int64_t head = key_head * shared; head < (key_head + 1) * shared; ++head, ++row) {
      const int64_t at = ((batch * shape.queries + t) * shape.heads + head) * shape.width;
      work.rows.queries[row] = inputs.q + at;
      work.rows.results[row] = out + at;
      work.rows.seen[row] = visible.end > visible.begin ? visible.end : 0;
      if (inputs.first_key != nullptr) work.first_keys[row] = visible.begin;
      if (inputs.bias != nullptr) {
        work.rows.biases[row] = inputs.bias + (head * shape.queries + t) * shape.keys;
      }
    }
  }
  const int64_t stride = shape.key_heads * shape.width;
  const int64_t start = batch * shape.keys * stride + key_head * shape.width;
  AttendRows(work, count, shape.width, shape.scale, inputs.bias != nullptr,
             KeyRows{inputs.k + start, inputs.v + start, stride, shape.width});
}

}  // namespace

const AttentionKernels attention = {AttentionBlock};

}  // namespace emu::EMU_ISA
