// permute: axis i of out is axis axes[i] of x.
//
// x, out f32; out overlaps nothing. Exact. Thread-safe; no scratch.
//
// Axes of side 1 are dropped and axes that stay neighbours are merged, which leaves two cases:
//   runs    the last axis stays last: whole runs are copied, [B,T,H,K] <-> [B,H,T,K]
//   tiles   else the last axis of x and the last of out span a matrix for every index of the other axes, and
//   the
//           matrix is transposed in square tiles, [B,H,W,C] <-> [B,C,H,W]
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

// How far apart in elements the indices of the outer axes lie in x and in out.
struct OuterAxes {
  int count;
  int64_t sides[kMaxRank];
  int64_t x_strides[kMaxRank];
  int64_t out_strides[kMaxRank];
};

// For every outer index out[i * out_stride + j] = x[j * x_stride + i], i < rows, j < columns.
struct TransposeShape {
  OuterAxes outer;
  int64_t rows;
  int64_t columns;
  int64_t x_stride;
  int64_t out_stride;

  // A unit of work is kUnitRows x kUnitColumns of the result for one outer index; the last ones are smaller.
  static constexpr int64_t kUnitRows = 16;
  static constexpr int64_t kUnitColumns = 1024;
  int64_t row_units() const { return (rows + kUnitRows - 1) / kUnitRows; }
  int64_t column_units() const { return (columns + kUnitColumns - 1) / kUnitColumns; }
};

struct PermuteKernels {
  void (*transpose)(const TransposeShape& shape, const float* x, Rows units, float* out);
};

EMU_DECLARE_KERNELS(PermuteKernels, permute)

// Where the matrix or run of one outer index begins.
struct OuterOffsets {
  int64_t x;
  int64_t out;
};

namespace {

// `at` counts the outer indices in row-major order.
[[maybe_unused]] inline OuterOffsets OffsetsOf(const OuterAxes& outer, int64_t at) {
  OuterOffsets offsets = {0, 0};
  for (int axis = outer.count - 1; axis >= 0; --axis) {
    const int64_t index = at % outer.sides[axis];
    offsets.x += index * outer.x_strides[axis];
    offsets.out += index * outer.out_strides[axis];
    at /= outer.sides[axis];
  }
  return offsets;
}

}  // namespace
}  // namespace emu
