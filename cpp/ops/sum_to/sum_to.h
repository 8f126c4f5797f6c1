// sumTo: sums x over the axes along which the smaller shape is repeated: the gradient of broadcasting.
//
// x, out f32; out overlaps nothing. With the last axis kept, sums run down columns by vectors; with the last
// axis summed, along rows. Sums are split into parts of fixed size that are joined in order, so the result
// depends neither on threads nor on how tasks are cut. Thread-safe.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

// Axes of x, how many steps each has and how far apart in x they lie.
struct SumAxes {
  int count;
  int64_t sides[kMaxRank];
  int64_t strides[kMaxRank];
};

struct SumToShape {
  SumAxes kept;    // of the results, without the last axis when that is kept
  SumAxes summed;  // without the last axis when that is summed
  bool sums_last;
  int64_t width;       // of the last axis of x
  int64_t lines;       // runs of `width` elements that belong to one result
  int64_t part_lines;  // how many of them one part sums
  int64_t parts;       // of one result, at least 1
  int64_t results() const { return sums_last ? 1 : width; }  // elements that a unit of work writes
};

struct SumToKernels {
  // Unit u sums part u % parts of result row u / parts into partials + u * results().
  void (*units)(const SumToShape& shape, const float* x, Rows units, float* partials);
  // out row r = sum over parts of partials.
  void (*join)(const SumToShape& shape, const float* partials, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(SumToKernels, sum_to)

}  // namespace emu
