#include "base/attention_exponential.h"
#include "base/elementwise.h"
#include "base/log_sum_exp.h"
#include "base/targets.h"
#include "ops/cross_entropy_gradient/cross_entropy_gradient.h"

namespace emu::EMU_ISA {
namespace {

// Writes exp(x - largest) of at most kExpBlock elements and returns their sum.
float WriteExpBlock(const float* x, int64_t count, float largest, float* out) {
  constexpr int kSums = 4;
  F32 sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= count; i += kSums * kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < kSums; ++v) {
      const F32 value = ExpOfNonPositive(Load(x + i + v * kLanes) - largest);
      Store(out + i + v * kLanes, value);
      sums[v] += value;
    }
  }
  float sum = SumLanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  MapVectors(x, i, count, out, [=](F32 value) { return ExpOfNonPositive(value - largest); });
  for (; i < count; ++i) sum += out[i];
  return sum;
}

void CrossEntropyGradientRow(int64_t width, const float* x, int32_t target, float dy, float* out) {
  const float largest = Largest(x, width);
  double sum = 0;
  for (int64_t i = 0; i < width; i += kExpBlock) {
    sum += WriteExpBlock(x + i, width - i < kExpBlock ? width - i : kExpBlock, largest, out + i);
  }
  const float factor = static_cast<float>(dy / sum);
  const double share = out[target] / sum;
  MapVectors(out, 0, width, out, [=](F32 value) { return value * factor; });
  out[target] = static_cast<float>(dy * (share - 1));
}

void CrossEntropyGradientRows(int64_t width, const float* logits, const int32_t* target, const float* dy,
                              Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* to = out + row * width;
    if (target[row] == kIgnoredTarget) {
      for (int64_t i = 0; i < width; ++i) to[i] = 0;
    } else {
      CrossEntropyGradientRow(width, logits + row * width, target[row], dy[row], to);
    }
  }
}

}  // namespace

const CrossEntropyGradientKernels cross_entropy_gradient = {CrossEntropyGradientRows};

}  // namespace emu::EMU_ISA
