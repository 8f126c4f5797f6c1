#include "base/cross_entropy_row.h"
#include "ops/linear_cross_entropy_with_gradients/linear_cross_entropy_with_gradients.h"

namespace emu::EMU_ISA {
namespace {

void LossRows(int64_t width, const int32_t* target, const float* dy, Rows rows, float* logits,
              float* losses) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* x = logits + row * width;
    losses[row] = CrossEntropyRow(width, x, target[row]);
    CrossEntropyGradientRow(width, x, target[row], dy[row], x);
  }
}

}  // namespace

const LinearCrossEntropyWithGradientsKernels linear_cross_entropy_with_gradients = {LossRows};

}  // namespace emu::EMU_ISA
