#include "base/elementwise.h"
#include "ops/upsample_nearest_gradient/upsample_nearest_gradient.h"

namespace emu::EMU_ISA {
namespace {

// The big indices i with floor(i * small / big) = index.
inline Rows SourcesOf(int64_t index, int64_t small, int64_t big) {
  return {(index * big + small - 1) / small, ((index + 1) * big + small - 1) / small};
}

void SumRows(const UpsampleGradientShape& shape, const float* dy, Rows rows, float* out) {
  const int64_t channels = shape.channels;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t picture = row / shape.height;
    const Rows lines = SourcesOf(row % shape.height, shape.height, shape.big_height);
    for (int64_t column = 0; column < shape.width; ++column) {
      const Rows columns = SourcesOf(column, shape.width, shape.big_width);
      float* sum = out + (row * shape.width + column) * channels;
      __builtin_memset(sum, 0, static_cast<size_t>(channels) * sizeof(float));
      for (int64_t y = lines.begin; y < lines.end; ++y) {
        for (int64_t x = columns.begin; x < columns.end; ++x) {
          const float* from = dy + ((picture * shape.big_height + y) * shape.big_width + x) * channels;
          MapVectors(sum, from, 0, channels, sum, [](F32 a, F32 b) { return a + b; });
        }
      }
    }
  }
}

}  // namespace

const UpsampleNearestGradientKernels upsample_nearest_gradient = {SumRows};

}  // namespace emu::EMU_ISA
