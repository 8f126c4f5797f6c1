// log(sum(exp(x))) of a row, for *_cpu.cc files.
#pragma once

#include <cmath>

#include "base/vector_math.h"

namespace emu::EMU_ISA {
namespace {

// log(sum(exp(x))) = largest + log_rest. Kept apart, because their rounded sum would cost x - largest -
// log_rest the digits in which x and largest agree.
struct LogSumExp {
  float largest;
  double log_rest;
};

[[maybe_unused]] inline float Largest(const float* x, int64_t count) {
  float largest = -INFINITY;
  int64_t i = 0;
  if (count >= 4 * kLanes) {
    F32 lanes[4] = {Load(x), Load(x + kLanes), Load(x + 2 * kLanes), Load(x + 3 * kLanes)};
    for (i = 4 * kLanes; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const F32 value = Load(x + i + v * kLanes);
        lanes[v] = value > lanes[v] ? value : lanes[v];
      }
    }
    for (int v = 0; v < 4; ++v) {
      for (int lane = 0; lane < kLanes; ++lane) largest = lanes[v][lane] > largest ? lanes[v][lane] : largest;
    }
  }
  for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// Sum of exp(x - largest) over at most kExpBlock elements.
inline constexpr int64_t kExpBlock = 1024;
[[maybe_unused]] inline float SumExpBlock(const float* x, int64_t count, float largest) {
  F32 sums[2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    sums[0] += Exp(Load(x + i) - largest);
    sums[1] += Exp(Load(x + i + kLanes) - largest);
  }
  float sum = SumLanes(sums[0] + sums[1]);
  while (i < count) {
    const int64_t rest = count - i < kLanes ? count - i : kLanes;
    float lanes[kLanes];
    Store(lanes, Exp((rest == kLanes ? Load(x + i) : LoadFirst(x + i, rest)) - largest));
    for (int64_t lane = 0; lane < rest; ++lane) sum += lanes[lane];
    i += rest;
  }
  return sum;
}

// Blocks of fixed size are added in double, so a long row is as accurate as a short one. Like the reference,
// a row whose largest element is not finite has that as its result, and a NaN makes the result NaN.
[[maybe_unused]] inline LogSumExp RowLogSumExp(const float* x, int64_t count) {
  const float largest = Largest(x, count);
  const bool finite = largest - largest == 0.0f;
  double sum = 0;
  for (int64_t i = 0; i < count; i += kExpBlock) {
    sum += SumExpBlock(x + i, count - i < kExpBlock ? count - i : kExpBlock, finite ? largest : 0.0f);
  }
  if (!finite) return {sum != sum ? static_cast<float>(sum) : largest, 0.0};
  return {largest, std::log(sum)};
}

}  // namespace
}  // namespace emu::EMU_ISA
