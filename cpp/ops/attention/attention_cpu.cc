#include "base/attention_tile.h"
#include "ops/attention/attention.h"

namespace emu::EMU_ISA {
namespace {

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
  const auto locate = [&](int64_t begin, int64_t keys, const void** key_rows, const void** value_rows) {
    for (int64_t s = 0; s < keys; ++s) {
      key_rows[s] = inputs.k + start + (begin + s) * stride;
      value_rows[s] = inputs.v + start + (begin + s) * stride;
    }
  };
  AttendRows<float>(work, count, shape.width, shape.scale, inputs.bias != nullptr, locate);
}

}  // namespace

const AttentionKernels attention = {AttentionBlock};

}  // namespace emu::EMU_ISA
