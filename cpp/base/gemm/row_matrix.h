// Floats in rows one after the other, as a left operand or as lines of a product.
#pragma once

#include <cstdint>

#include "base/gemm/gemm.h"

namespace emu {

struct RowMatrix {
  const float* values;
  int64_t width;
};

inline const float* RowPiece(const void* source, int64_t row, int64_t begin, int64_t end, int64_t* stop) {
  const RowMatrix& matrix = *static_cast<const RowMatrix*>(source);
  *stop = end;
  return matrix.values + row * matrix.width + begin;
}

}  // namespace emu
