#include "base/elementwise.h"
#include "ops/sum_to/sum_to.h"

namespace emu::EMU_ISA {
namespace {

inline int64_t OffsetOf(const SumAxes& axes, int64_t at) {
  int64_t offset = 0;
  for (int axis = axes.count - 1; axis >= 0; --axis) {
    offset += at % axes.sides[axis] * axes.strides[axis];
    at /= axes.sides[axis];
  }
  return offset;
}

// Elements of a line that are summed in f32 before they join the total.
constexpr int64_t kBlock = 2048;

inline float SumOfBlock(const float* x, int64_t count) {
  F32 sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[k] += Load(x + i + k * kLanes);
  }
  for (; i + kLanes <= count; i += kLanes) sums[0] += Load(x + i);
  if (i < count) sums[1] += LoadFirst(x + i, count - i);
  return SumLanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

inline double SumOfLine(const float* x, int64_t count) {
  double sum = 0;
  for (int64_t at = 0; at < count; at += kBlock) {
    sum += static_cast<double>(SumOfBlock(x + at, count - at < kBlock ? count - at : kBlock));
  }
  return sum;
}

void SumUnits(const SumToShape& shape, const float* x, Rows units, float* partials) {
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const float* from = x + OffsetOf(shape.kept, unit / shape.parts);
    const int64_t begin = unit % shape.parts * shape.part_lines;
    const int64_t end = begin + shape.part_lines < shape.lines ? begin + shape.part_lines : shape.lines;
    if (shape.sums_last) {
      double sum = 0;
      for (int64_t line = begin; line < end; ++line) {
        sum += SumOfLine(from + OffsetOf(shape.summed, line), shape.width);
      }
      partials[unit] = static_cast<float>(sum);
      continue;
    }
    float* sums = partials + unit * shape.width;
    if (begin >= end) __builtin_memset(sums, 0, static_cast<size_t>(shape.width) * sizeof(float));
    for (int64_t line = begin; line < end; ++line) {
      const float* add = from + OffsetOf(shape.summed, line);
      if (line == begin) {
        __builtin_memcpy(sums, add, static_cast<size_t>(shape.width) * sizeof(float));
      } else {
        MapVectors(sums, add, 0, shape.width, sums, [](F32 a, F32 b) { return a + b; });
      }
    }
  }
}

void JoinParts(const SumToShape& shape, const float* partials, Rows rows, float* out) {
  const int64_t results = shape.results();
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    for (int64_t i = 0; i < results; ++i) {
      double sum = 0;
      for (int64_t part = 0; part < shape.parts; ++part) {
        sum += static_cast<double>(partials[(row * shape.parts + part) * results + i]);
      }
      out[row * results + i] = static_cast<float>(sum);
    }
  }
}

}  // namespace

const SumToKernels sum_to = {SumUnits, JoinParts};

}  // namespace emu::EMU_ISA
