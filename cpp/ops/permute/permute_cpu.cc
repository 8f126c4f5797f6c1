#include "base/simd.h"
#include "ops/permute/permute.h"

namespace emu::EMU_ISA {
namespace {

// a0 b0 a1 b1 ... from the first halves of a and b, or from the second ones.
inline F32 InterleaveFirst(F32 a, F32 b) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}
inline F32 InterleaveSecond(F32 a, F32 b) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

// A square tile as wide as a vector. Interleaving rows i and i + n/2 rotates the bits of (row, column) by one
// place; after log2 n times rows and columns have changed places.
inline void TransposeTile(const float* x, int64_t x_stride, float* out, int64_t out_stride) {
  constexpr int kHalf = kLanes / 2;
  F32 rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) rows[i] = Load(x + i * x_stride);
#pragma GCC unroll 4
  for (int step = 1; step < kLanes; step *= 2) {
    F32 next[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) {
      next[2 * i] = InterleaveFirst(rows[i], rows[i + kHalf]);
      next[2 * i + 1] = InterleaveSecond(rows[i], rows[i + kHalf]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) Store(out + i * out_stride, rows[i]);
}

void TransposePart(const TransposeShape& shape, Rows rows, Rows columns, const float* x, float* out) {
  int64_t i = rows.begin;
  for (; i + kLanes <= rows.end; i += kLanes) {
    int64_t j = columns.begin;
    for (; j + kLanes <= columns.end; j += kLanes) {
      TransposeTile(x + j * shape.x_stride + i, shape.x_stride, out + i * shape.out_stride + j,
                    shape.out_stride);
    }
    for (; j < columns.end; ++j) {
      for (int64_t r = i; r < i + kLanes; ++r) out[r * shape.out_stride + j] = x[j * shape.x_stride + r];
    }
  }
  for (; i < rows.end; ++i) {
    for (int64_t j = columns.begin; j < columns.end; ++j) {
      out[i * shape.out_stride + j] = x[j * shape.x_stride + i];
    }
  }
}

inline Rows UnitRange(int64_t unit, int64_t size, int64_t total) {
  const int64_t begin = unit * size;
  return {begin, begin + size < total ? begin + size : total};
}

void Transpose(const TransposeShape& shape, const float* x, Rows units, float* out) {
  const int64_t columns = shape.column_units(), per_matrix = shape.row_units() * columns;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const OuterOffsets offsets = OffsetsOf(shape.outer, unit / per_matrix);
    const int64_t within = unit % per_matrix;
    TransposePart(shape, UnitRange(within / columns, TransposeShape::kUnitRows, shape.rows),
                  UnitRange(within % columns, TransposeShape::kUnitColumns, shape.columns), x + offsets.x,
                  out + offsets.out);
  }
}

}  // namespace

const PermuteKernels permute = {Transpose};

}  // namespace emu::EMU_ISA
