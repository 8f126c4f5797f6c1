#include "base/convert_row.h"
#include "ops/embedding/embedding.h"

namespace emu::EMU_ISA {
namespace {

void EmbedBf16Rows(int64_t width, const Bf16* table, const int32_t* ids, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    WidenRow(table + ids[row] * width, width, out + row * width);
  }
}

}  // namespace

const EmbeddingKernels embedding = {EmbedBf16Rows};

}  // namespace emu::EMU_ISA
