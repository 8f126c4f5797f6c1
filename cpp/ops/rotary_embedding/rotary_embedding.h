// rotaryEmbedding: rotates pairs (i, i + K/2) of every head by position[r] · theta^(-2i/K) (Su et al. 2021),
// in the halves layout of LLaMA:
//   out[i] = x[i] cos - x[i+K/2] sin,   out[i+K/2] = x[i+K/2] cos + x[i] sin.
//
// With the attribute inverse = 1 (absent: 0) the angle is negated. The angle is the f32 product of the f32
// position and the f32 power; its cosine and sine are those of double precision rounded to f32. x, out
// [R,H,K] f32, K even; out may be x. Thread-safe.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct RotaryShape {
  int64_t heads;
  int64_t width;
};

struct RotaryEmbeddingKernels {
  // `turns` [R,2,K/2]: cosines and then sines of each row.
  void (*rows)(const RotaryShape& shape, const float* x, const float* turns, Rows rows, float* out);
};

EMU_DECLARE_KERNELS(RotaryEmbeddingKernels, rotary_embedding)

}  // namespace emu
