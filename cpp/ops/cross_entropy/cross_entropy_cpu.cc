#include "base/cross_entropy_row.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace emu::EMU_ISA {
namespace {

void CrossEntropyRows(int64_t width, const float* logits, const int32_t* target, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    out[row] = CrossEntropyRow(width, logits + row * width, target[row]);
  }
}

}  // namespace

const CrossEntropyKernels cross_entropy = {CrossEntropyRows};

}  // namespace emu::EMU_ISA
