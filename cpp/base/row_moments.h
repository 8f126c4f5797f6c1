// Sums over a row and the moments of a row that layer normalisation and its gradient share. Only *_cpu.cc
// files include this. The order of every sum depends on the width alone.
#pragma once

#include <cmath>

#include "base/row_vectors.h"

namespace emu::EMU_ISA {
namespace {

// Enough independent sums to hide the latency of an addition.
inline constexpr int kSums = 4;

[[maybe_unused]] inline float Sum(const float* x, int64_t width) {
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
[[maybe_unused]] inline Centred SumCentred(const float* x, int64_t width, float centre) {
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

[[maybe_unused]] inline float SumOfSquares(const float* x, int64_t width) {
  F32 sums = {};
  int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) {
    const F32 value = Load(x + d);
    sums += value * value;
  }
  float sum = SumLanes(sums);
  for (; d < width; ++d) sum += x[d] * x[d];
  return sum;
}

// What (x - mean) / sqrt(variance + epsilon) needs: normal = ((x - centre) - correction) * factor. `centre`
// is the mean as f32 finds it, and the correction gives back what its rounding took.
struct RowMoments {
  float centre;
  float correction;
  float factor;

  F32 Normal(F32 x) const { return ((x - centre) - correction) * factor; }
};

[[maybe_unused]] inline RowMoments MeasureRow(const float* x, int64_t width, float epsilon) {
  const float count = static_cast<float>(width);
  const float centre = Sum(x, width) / count;
  const Centred centred = SumCentred(x, width, centre);
  const float correction = centred.sum / count;
  const float variance = centred.squares / count - correction * correction;
  return {centre, correction, 1.0f / std::sqrt((variance > 0.0f ? variance : 0.0f * variance) + epsilon)};
}

}  // namespace
}  // namespace emu::EMU_ISA
