#include "base/simd.h"
#include "ops/squared_error/squared_error.h"

namespace emu::EMU_ISA {
namespace {

// Elements whose squares are summed in f32 before they join the total.
constexpr int64_t kBlock = 1024;

inline float SumOfBlock(const float* a, const float* b, int64_t count) {
  F32 sum = {}, other = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const F32 first = Load(a + i) - Load(b + i), second = Load(a + i + kLanes) - Load(b + i + kLanes);
    sum += first * first;
    other += second * second;
  }
  for (; i + kLanes <= count; i += kLanes) {
    const F32 difference = Load(a + i) - Load(b + i);
    sum += difference * difference;
  }
  if (i < count) {
    const F32 difference = LoadFirst(a + i, count - i) - LoadFirst(b + i, count - i);
    other += difference * difference;
  }
  return SumLanes(sum + other);
}

void ErrorRows(int64_t width, const float* prediction, const float* target, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    double total = 0;
    for (int64_t at = 0; at < width; at += kBlock) {
      const int64_t count = width - at < kBlock ? width - at : kBlock;
      total +=
          static_cast<double>(SumOfBlock(prediction + row * width + at, target + row * width + at, count));
    }
    out[row] = static_cast<float>(total / static_cast<double>(width));
  }
}

}  // namespace

const SquaredErrorKernels squared_error = {ErrorRows};

}  // namespace emu::EMU_ISA
