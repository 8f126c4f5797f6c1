#include <cmath>

#include "base/row_moments.h"
#include "ops/rms_norm/rms_norm.h"

namespace emu::EMU_ISA {
namespace {

void RmsNormRows(const RmsNormShape& shape, const float* x, const float* weight, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* from = x + row * shape.width;
    float* to = out + row * shape.width;
    const float mean = SumOfSquares(from, shape.width) / static_cast<float>(shape.width);
    const float scale = 1.0f / std::sqrt(mean + shape.epsilon);
    for (int64_t d = 0; d < shape.width; ++d) to[d] = from[d] * scale * weight[d];
  }
}

}  // namespace

const RmsNormKernels rms_norm = {RmsNormRows};

}  // namespace emu::EMU_ISA
