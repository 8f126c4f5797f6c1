// The matrix product that linear and convolution share.
//
//   out[m,n] = act(sum over k of a[m,k] w[n,k] + bias[n]) + residual[m,n]
//
// a is f32, read through LeftOperand; w is packed (base/gemm/packing.h), f32 or bf16, or packed on the way.
// With bf16 weights a is rounded to bf16 first. out, bias and residual are f32, row-major, contiguous; out
// may alias neither of them nor a.
//
// Every element is one chain over k in ascending order, starting from 0:
//   f32             acc = fma(a_k, w_k, acc)               (multiply, then add, where the set has no FMA)
//   bf16            acc = fma(a_k, w_k, acc), a and w widened
//   bf16, AVX512BF16  acc = vdpbf16ps(acc, a pair, w pair)
//   bf16, AMX         acc = acc + (even + odd), for every 32 values of k, the last ones filled up with zeros,
//                     where even and odd are chains of fma over the first and the second value of 16 pairs,
//                     each from 0
// then bias, activation and residual in the same vector code for every element. The chain is cut into blocks
// of k only by storing acc in out and loading it again, so the result depends neither on the number of rows
// nor on how rows and panels are split into tasks.
//
// The instructions of the last two read subnormal values as zeros and write zeros for subnormal results,
// whatever the processor is set to. A NaN or an infinity reaches its own row or weight row, no other.
#pragma once

#include <cstdint>

#include "base/activation.h"
#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct GemmShape {
  int64_t rows;     // M
  int64_t outputs;  // N
  int64_t width;    // K
  DType weight;     // kF32 or kBf16
};

// A matrix that is never stored as such: a row is a sequence of pieces, each contiguous in memory or all
// zeros.
struct PiecewiseMatrix {
  // The piece of a row that begins at `begin`: returns where its values lie, or null for zeros, and sets
  // `stop` (begin < stop <= end) to where it ends.
  const float* (*piece)(const void* source, int64_t row, int64_t begin, int64_t end, int64_t* stop);
  const void* source;
};

// Where the rows of a come from: piece by piece, or from a transposed matrix, with a[m,k] at
// columns[k * stride + m].
struct LeftOperand {
  PiecewiseMatrix rows;
  const float* columns = nullptr;  // when set, rows is not looked at
  int64_t stride = 0;
};

struct GemmOperands {
  LeftOperand left;
  const void* packed;  // or null: each task packs what it needs of `lines`
  // Row k of this matrix holds w[n,k] for all n. For products whose w is large and used once.
  PiecewiseMatrix lines;
  const float* bias;      // [outputs] or null
  const float* residual;  // [rows, outputs] or null
  ActivationKind activation;
  float* out;  // [rows, outputs]
  // When set, floats from a row of out to the next, for products without bias, activation and residual.
  int64_t out_stride = 0;
  // When set, row m of the product is row place(place_source, m) of out, for products without bias,
  // activation and residual.
  int64_t (*place)(const void* source, int64_t row);
  const void* place_source;
};

struct GemmKernels {
  int tile_rows;
  // Scratch that `multiply` needs for that many rows, and for that many panels if it packs them itself,
  // 64-byte aligned.
  int64_t (*scratch_bytes)(const GemmShape& shape, int64_t rows, int64_t packed_panels);
  // Computes out for a range of rows and of panels. Never allocates, never fails. Thread-safe for disjoint
  // ranges.
  void (*multiply)(const GemmShape& shape, const GemmOperands& operands, Rows rows, Rows panels,
                   void* scratch);
};

EMU_DECLARE_KERNELS(GemmKernels, gemm_kernels)

#if EMU_X86
namespace isa_amx {
extern const GemmKernels gemm_kernels;
}
#endif

// Those of the level for weights of that type: tiles multiply bf16 alone.
const GemmKernels& GemmKernelsFor(Isa isa, DType weight);

// How a product is cut into tasks: blocks of rows times blocks of panels.
struct GemmSplit {
  int64_t rows_per_task;
  int64_t panels_per_task;
  int64_t row_blocks;
  int64_t panel_blocks;
  int64_t scratch_bytes;  // per thread

  int64_t tasks() const { return row_blocks * panel_blocks; }
};

// `packs` says that the tasks pack w themselves (GemmOperands::lines).
GemmSplit SplitGemm(Isa isa, const GemmShape& shape, int threads, bool packs = false);

// Runs one task of the split.
void RunGemmTask(Isa isa, const GemmShape& shape, const GemmSplit& split, const GemmOperands& operands,
                 int64_t task, void* scratch);

// The same, but out += product: every sum over k is complete in scratch before out is added to it. For
// packed weights, without bias, activation, residual and place. Needs SumScratchBytes of scratch besides
// that of the split.
void AddGemmTask(Isa isa, const GemmShape& shape, const GemmSplit& split, const GemmOperands& operands,
                 int64_t task, void* scratch);
int64_t SumScratchBytes(Isa isa, const GemmSplit& split);

}  // namespace emu
