// embedding: out[n,:] = table[ids[n],:], widened to f32.
//
// V rows of the table, D width, N ids. table [V,D] f32 or bf16, ids i32, out [N,D] f32; out overlaps nothing.
// Every id was checked to be in 0..V-1 before the run. Exact. Thread-safe; no scratch.
#pragma once

#include "base/bf16.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct EmbeddingKernels {
  void (*bf16_rows)(int64_t width, const Bf16* table, const int32_t* ids, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(EmbeddingKernels, embedding)

}  // namespace emu
