#include "base/row_moments.h"
#include "ops/layer_norm/layer_norm.h"

namespace emu::EMU_ISA {
namespace {

void LayerNormRow(const LayerNormShape& shape, const float* x, const float* weight, const float* bias,
                  float* out) {
  const int64_t width = shape.width;
  const RowMoments moments = MeasureRow(x, width, shape.epsilon);
  const auto normal = [=](F32 value, F32 w, F32 b) { return moments.Normal(value) * w + b; };
  int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) {
    Store(out + d, normal(Load(x + d), Load(weight + d), Load(bias + d)));
  }
  if (const int64_t rest = width - d; rest > 0) {
    StoreFirst(out + d,
               normal(LoadFirst(x + d, rest), LoadFirst(weight + d, rest), LoadFirst(bias + d, rest)), rest);
  }
}

void LayerNormRows(const LayerNormShape& shape, const float* x, const float* weight, const float* bias,
                   Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    LayerNormRow(shape, x + row * shape.width, weight, bias, out + row * shape.width);
  }
}

}  // namespace

const LayerNormKernels layer_norm = {LayerNormRows};

}  // namespace emu::EMU_ISA
