#include "base/simd.h"
#include "ops/sum_of_squares/sum_of_squares.h"

namespace emu::EMU_ISA {
namespace {

// Elements whose squares are summed in f32 before they join the total.
constexpr int64_t kBlock = 4096;

inline F32 Squares(F32 value) { return value * value; }

inline float SumOfBlock(const float* x, int64_t count) {
  F32 sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[k] += Squares(Load(x + i + k * kLanes));
  }
  for (; i + kLanes <= count; i += kLanes) sums[0] += Squares(Load(x + i));
  if (i < count) sums[1] += Squares(LoadFirst(x + i, count - i));
  return SumLanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

double SumElements(const float* x, Rows elements) {
  double total = 0;
  for (int64_t at = elements.begin; at < elements.end; at += kBlock) {
    const int64_t count = elements.end - at < kBlock ? elements.end - at : kBlock;
    total += static_cast<double>(SumOfBlock(x + at, count));
  }
  return total;
}

}  // namespace

const SumOfSquaresKernels sum_of_squares = {SumElements};

}  // namespace emu::EMU_ISA
