#include "base/block_sums.h"
#include "base/row_moments.h"
#include "ops/layer_norm_gradient/layer_norm_gradient.h"

namespace emu::EMU_ISA {
namespace {

void GradientOfRow(const LayerNormGradientShape& shape, const float* x, const float* weight, const float* dy,
                   float* dx, float* partial) {
  const int64_t width = shape.width;
  const RowMoments moments = MeasureRow(x, width, shape.epsilon);
  // The lanes beyond the row have a weight of 0.
  F32 slopes = {}, along_normal = {};
  ForEachVector(width, [&](int64_t d, int64_t count) {
    const F32 slope = LoadUpTo(weight + d, count) * LoadUpTo(dy + d, count);
    slopes += slope;
    along_normal += slope * moments.Normal(LoadUpTo(x + d, count));
  });
  const float level = SumLanes(slopes) / static_cast<float>(width);
  const float along = SumLanes(along_normal) / static_cast<float>(width);
  ForEachVector(width, [&](int64_t d, int64_t count) {
    const F32 error = LoadUpTo(dy + d, count), normal = moments.Normal(LoadUpTo(x + d, count));
    const F32 slope = LoadUpTo(weight + d, count) * error;
    StoreUpTo(dx + d, ((slope - level) - normal * along) * moments.factor, count);
    StoreUpTo(partial + d, LoadUpTo(partial + d, count) + error * normal, count);
    StoreUpTo(partial + width + d, LoadUpTo(partial + width + d, count) + error, count);
  });
}

void GradientOfBlock(const LayerNormGradientShape& shape, const float* x, const float* weight,
                     const float* dy, Rows rows, float* dx, float* partial) {
  for (int64_t d = 0; d < 2 * shape.width; ++d) partial[d] = 0;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t at = row * shape.width;
    GradientOfRow(shape, x + at, weight, dy + at, dx + at, partial);
  }
}

}  // namespace

const LayerNormGradientKernels layer_norm_gradient = {GradientOfBlock, SumBlocks};

}  // namespace emu::EMU_ISA
