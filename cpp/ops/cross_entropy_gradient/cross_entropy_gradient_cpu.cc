#include "base/cross_entropy_row.h"
#include "ops/cross_entropy_gradient/cross_entropy_gradient.h"

namespace emu::EMU_ISA {
namespace {

void CrossEntropyGradientRows(int64_t width, const float* logits, const int32_t* target, const float* dy,
                              Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    CrossEntropyGradientRow(width, logits + row * width, target[row], dy[row], out + row * width);
  }
}

}  // namespace

const CrossEntropyGradientKernels cross_entropy_gradient = {CrossEntropyGradientRows};

}  // namespace emu::EMU_ISA
