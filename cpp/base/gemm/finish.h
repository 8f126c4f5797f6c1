// What follows a product's sums. Only base/gemm kernel files include this.
#pragma once

#include "base/gemm/gemm.h"
#include "base/vector_math.h"

namespace emu::EMU_ISA {
namespace {

// out = act(out + bias) + residual on a tile. One loop computes full and partial vectors alike, so an
// element's result does not depend on where its tile ends.
void FinishTile(const GemmShape& shape, const GemmOperands& operands, Rows rows, Rows columns) {
  if (operands.bias == nullptr && operands.residual == nullptr &&
      operands.activation == ActivationKind::kNone) {
    return;
  }
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    for (int64_t column = columns.begin; column < columns.end; column += kLanes) {
      const int64_t left = columns.end - column, at = row * shape.outputs + column;
      const bool full = left >= kLanes;
      F32 value = full ? Load(operands.out + at) : LoadFirst(operands.out + at, left);
      if (operands.bias != nullptr) {
        value += full ? Load(operands.bias + column) : LoadFirst(operands.bias + column, left);
      }
      value = Activate(operands.activation, value);
      if (operands.residual != nullptr) {
        value += full ? Load(operands.residual + at) : LoadFirst(operands.residual + at, left);
      }
      if (full) {
        Store(operands.out + at, value);
      } else {
        StoreFirst(operands.out + at, value, left);
      }
    }
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
