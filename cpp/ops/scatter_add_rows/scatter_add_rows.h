// scatterAddRows: out[c,:] = sum over n with index[n] = c of rows[n,:], in the order of n; zeros where there
// is none.
//
// rows f32[N,D], index i32[N] within -1..count-1 (-1: left out), out f32[count,D]; out overlaps nothing. Each
// task writes rows of its own: phase 0 sorts the rows by their targets, phase 1 sums them. Thread-safe.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct ScatterAddRowsKernels {
  // Rows order[starts[c]]..order[starts[c+1]-1] belong to target c.
  void (*targets)(int64_t width, const float* rows, const int64_t* starts, const int64_t* order, Rows targets,
                  float* out);
};

EMU_DECLARE_KERNELS(ScatterAddRowsKernels, scatter_add_rows)

}  // namespace emu
