// Cross-entropy of one row and its gradient, for *_cpu.cc files.
#pragma once

#include "base/attention_exponential.h"
#include "base/elementwise.h"
#include "base/log_sum_exp.h"
#include "base/targets.h"

namespace emu::EMU_ISA {
namespace {

// log(sum(exp(x))) - x[target], 0 where the target is ignored.
[[maybe_unused]] inline float CrossEntropyRow(int64_t width, const float* x, int32_t target) {
  if (target == kIgnoredTarget) return 0;
  const LogSumExp total = RowLogSumExp(x, width);
  return static_cast<float>((static_cast<double>(total.largest) - x[target]) + total.log_rest);
}

// Writes exp(x - largest) of at most kExpBlock elements and returns their sum.
[[maybe_unused]] inline float WriteExpBlock(const float* x, int64_t count, float largest, float* out) {
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

// out[v] = dy (softmax(x)[v] - [v = target]), zeros where the target is ignored; out may be x.
[[maybe_unused]] inline void CrossEntropyGradientRow(int64_t width, const float* x, int32_t target, float dy,
                                                     float* out) {
  if (target == kIgnoredTarget) {
    for (int64_t i = 0; i < width; ++i) out[i] = 0;
    return;
  }
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

}  // namespace
}  // namespace emu::EMU_ISA
