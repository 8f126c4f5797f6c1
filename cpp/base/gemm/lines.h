// Packing w from its lines, for tasks that pack what they need. Only base/gemm kernel files include this.
#pragma once

#include <cstring>

#include "base/gemm/gemm.h"
#include "base/gemm/packing.h"

namespace emu::EMU_ISA {
namespace {

// The values first..last of line k, where they lie if they lie together, else gathered in `line`.
[[maybe_unused]] inline const float* GatherLine(const PiecewiseMatrix& lines, int64_t k, int64_t first,
                                                int64_t last, float* line) {
  for (int64_t at = first, stop; at < last; at = stop) {
    const float* values = lines.piece(lines.source, k, at, last, &stop);
    if (values != nullptr && at == first && stop == last) return values;
    const size_t bytes = static_cast<size_t>(stop - at) * 4;
    if (values != nullptr) {
      std::memcpy(line + (at - first), values, bytes);
    } else {
      std::memset(line + (at - first), 0, bytes);
    }
  }
  return line;
}

// Packs the lines `values` (a range of k) of some panels, panel_bytes apart from `to` on. `gathered` has room
// for a word's lines.
[[maybe_unused]] inline void PackLinesOf(const PackKernels& kernels, const GemmShape& shape,
                                         const PiecewiseMatrix& lines, Rows panels, Rows values,
                                         int64_t panel_bytes, float* to, float* gathered) {
  const int64_t panel_rows = kernels.panel_rows, all = panels.end * panel_rows;
  const int64_t first = panels.begin * panel_rows, last = all < shape.outputs ? all : shape.outputs;
  const int64_t step = shape.weight == DType::kBf16 ? 2 : 1;
  for (int64_t k = values.begin; k < values.end; k += step, to += panel_rows) {
    const float* pair[2] = {};
    for (int64_t i = 0; i < step && k + i < values.end; ++i) {
      pair[i] = GatherLine(lines, k + i, first, last, gathered + i * (all - first));
    }
    kernels.pack_line(shape.weight, DType::kF32, pair[0], pair[1], last - first, to, panel_bytes);
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
