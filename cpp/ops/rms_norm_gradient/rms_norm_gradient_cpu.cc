#include "base/block_sums.h"
#include "base/row_moments.h"
#include "ops/rms_norm_gradient/rms_norm_gradient.h"

namespace emu::EMU_ISA {
namespace {

void GradientOfRow(const RmsNormGradientShape& shape, const float* x, const float* weight, const float* dy,
                   float* dx, float* partial) {
  const int64_t width = shape.width;
  const float mean = SumOfSquares(x, width) / static_cast<float>(width);
  const float factor = 1.0f / std::sqrt(mean + shape.epsilon);
  F32 sum = {};
  ForEachVector(width, [&](int64_t d, int64_t count) {
    sum += LoadUpTo(weight + d, count) * LoadUpTo(dy + d, count) * LoadUpTo(x + d, count);
  });
  const float along = SumLanes(sum) * factor / static_cast<float>(width);
  ForEachVector(width, [&](int64_t d, int64_t count) {
    const F32 error = LoadUpTo(dy + d, count), normal = LoadUpTo(x + d, count) * factor;
    StoreUpTo(dx + d, (LoadUpTo(weight + d, count) * error - normal * along) * factor, count);
    StoreUpTo(partial + d, LoadUpTo(partial + d, count) + error * normal, count);
  });
}

void GradientOfBlock(const RmsNormGradientShape& shape, const float* x, const float* weight, const float* dy,
                     Rows rows, float* dx, float* partial) {
  for (int64_t d = 0; d < shape.width; ++d) partial[d] = 0;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t at = row * shape.width;
    GradientOfRow(shape, x + at, weight, dy + at, dx + at, partial);
  }
}

}  // namespace

const RmsNormGradientKernels rms_norm_gradient = {GradientOfBlock, SumBlocks};

}  // namespace emu::EMU_ISA
