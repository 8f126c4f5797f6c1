#include "ops/rotary_embedding/rotary_embedding.h"

namespace emu::EMU_ISA {
namespace {

void RotateRows(const RotaryShape& shape, const float* x, const float* turns, Rows rows, float* out) {
  const int64_t half = shape.width / 2;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float *cosines = turns + row * shape.width, *sines = cosines + half;
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t at = (row * shape.heads + head) * shape.width;
      for (int64_t i = 0; i < half; ++i) {
        const float first = x[at + i], second = x[at + half + i];
        out[at + i] = first * cosines[i] - second * sines[i];
        out[at + half + i] = second * cosines[i] + first * sines[i];
      }
    }
  }
}

}  // namespace

const RotaryEmbeddingKernels rotary_embedding = {RotateRows};

}  // namespace emu::EMU_ISA
