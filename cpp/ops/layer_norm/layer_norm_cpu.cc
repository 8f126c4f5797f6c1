#include <cmath>

#include "base/simd.h"
#include "ops/layer_norm/layer_norm.h"

namespace emu::EMU_ISA {
namespace {

// Enough independent sums to hide the latency of an addition.
constexpr int kSums = 4;

float Sum(const float* x, int64_t width) {
  F32 sums[kSums] = {};
  int64_t d = 0;
  for (; d + kSums * kLanes <= width; d += kSums * kLanes) {
#pragma GCC unroll 4
    for (int s = 0; s < kSums; ++s) sums[s] += Load(x + d + s * kLanes);
  }
  for (; d + kLanes <= width; d += kLanes) sums[0] += Load(x + d);
  float sum = SumLanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; d < width; ++d) sum += x[d];
  return sum;
}

struct Centred {
  float sum;
  float squares;
};

// Sums of x - centre and of its square.
Centred SumCentred(const float* x, int64_t width, float centre) {
  F32 sums[kSums] = {}, squares[kSums] = {};
  int64_t d = 0;
  for (; d + kSums * kLanes <= width; d += kSums * kLanes) {
#pragma GCC unroll 4
    for (int s = 0; s < kSums; ++s) {
      const F32 value = Load(x + d + s * kLanes) - centre;
      sums[s] += value;
      squares[s] += value * value;
    }
  }
  for (; d + kLanes <= width; d += kLanes) {
    const F32 value = Load(x + d) - centre;
    sums[0] += value;
    squares[0] += value * value;
  }
  Centred total = {SumLanes((sums[0] + sums[1]) + (sums[2] + sums[3])),
                   SumLanes((squares[0] + squares[1]) + (squares[2] + squares[3]))};
  for (; d < width; ++d) {
    const float value = x[d] - centre;
    total.sum += value;
    total.squares += value * value;
  }
  return total;
}

void LayerNormRow(const LayerNormShape& shape, const float* x, const float* weight, const float* bias,
                  float* out) {
  const int64_t width = shape.width;
  const float count = static_cast<float>(width);
  const float centre = Sum(x, width) / count;
  const Centred centred = SumCentred(x, width, centre);
  const float correction = centred.sum / count;
  const float variance = centred.squares / count - correction * correction;
  const float factor = 1.0f / std::sqrt((variance > 0.0f ? variance : 0.0f * variance) + shape.epsilon);
  const auto normal = [=](F32 value, F32 w, F32 b) {
    return ((value - centre) - correction) * factor * w + b;
  };
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
