// The loop of broadcasting ops, for *_cpu.cc files.
#pragma once

#include "base/broadcast.h"
#include "base/elementwise.h"

namespace emu::EMU_ISA {
namespace {

// The element of b that belongs to the first element of row `row` of a, where a row is the last axis.
[[maybe_unused]] inline int64_t BroadcastOffset(const BroadcastShape& shape, int64_t row) {
  int64_t offset = 0;
  for (int axis = shape.axes - 2; axis >= 0; --axis) {
    offset += row % shape.sides[axis] * shape.b_strides[axis];
    row /= shape.sides[axis];
  }
  return offset;
}

// out[i] = body(a[i], b of i).
template <typename Body>
inline void MapBroadcast(const BroadcastShape& shape, const float* a, const float* b, Rows elements,
                         float* out, Body body) {
  const int64_t width = shape.sides[shape.axes - 1];
  const bool repeats = shape.b_strides[shape.axes - 1] == 0;
  for (int64_t at = elements.begin; at < elements.end;) {
    const int64_t row = at / width, begin = at - row * width;
    const int64_t end = width < elements.end - row * width ? width : elements.end - row * width;
    const float* from = b + BroadcastOffset(shape, row);
    const float* a_row = a + row * width;
    float* out_row = out + row * width;
    if (repeats) {
      const F32 value = Splat(*from);
      MapVectors(a_row, begin, end, out_row, [=](F32 x) { return body(x, value); });
    } else {
      MapVectors(a_row, from, begin, end, out_row, body);
    }
    at = row * width + end;
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
