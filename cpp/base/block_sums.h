// Second half of a sum over rows: the partial sums of blocks of rows, added in the order of the blocks.
// Blocks and their number depend on the shape alone, so the result does not depend on threads. Only *_cpu.cc
// files include this.
#pragma once

#include "base/simd.h"
#include "base/tensor_type.h"

namespace emu::EMU_ISA {
namespace {

// out[c] = sum over blocks of partial[block * stride + c], for the columns of the range.
[[maybe_unused]] inline void SumBlocks(const float* partial, int64_t blocks, int64_t stride, Rows columns,
                                       float* out) {
  for (int64_t c = columns.begin; c < columns.end; c += kLanes) {
    const int64_t rest = columns.end - c;
    F32 sum = {};
    for (int64_t block = 0; block < blocks; ++block) {
      const float* from = partial + block * stride + c;
      sum += rest >= kLanes ? Load(from) : LoadFirst(from, rest);
    }
    if (rest >= kLanes) {
      Store(out + c, sum);
    } else {
      StoreFirst(out + c, sum, rest);
    }
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
