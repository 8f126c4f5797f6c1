// The two kinds of products of attention's gradient, register-blocked. Only attention_gradient_cpu.cc
// includes this. Every element is one chain of multiply-adds in rising order.
#pragma once

#include "base/attention_pack.h"
#include "ops/attention_gradient/attention_gradient.h"

namespace emu::EMU_ISA {
namespace {

inline constexpr int kRows = kGradientPanelRows;

// scores[r][key] = sum over i of rows[r][i] * keys[i][key], for kRows rows and one group of a packed key
// tile.
template <int kVectors>
void ScoreGroup(const float* rows, int64_t row_stride, const float* keys, int64_t width, float* scores,
                int64_t score_stride) {
  F32 sums[kRows][kVectors] = {};
  for (int64_t i = 0; i < width; ++i) {
    F32 at[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) at[v] = Load(keys + i * kKeyGroup + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const F32 row = Splat(rows[r * row_stride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] += row * at[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(scores + r * score_stride + v * kLanes, sums[r][v]);
  }
}

// A matrix of factors, read along either of its sides.
struct Factors {
  const float* at;
  int64_t row_stride;   // from one row of the sums to the next
  int64_t step_stride;  // from one summand to the next
};

// sums[r] += sum over steps of factors[r][step] * values[step], for kRows rows and one chunk of vectors; rows
// of values and sums lie `stride` floats apart.
template <int kVectors>
void AddProducts(const Factors& factors, const float* values, int64_t steps, int64_t stride, float* sums) {
  F32 at[kRows][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) at[r][v] = Load(sums + r * stride + v * kLanes);
  }
  const float* factor_at = factors.at;
  const int64_t row_stride = factors.row_stride;
  for (int64_t step = 0; step < steps; ++step, factor_at += factors.step_stride, values += stride) {
    F32 value[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) value[v] = Load(values + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const F32 factor = Splat(factor_at[r * row_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) at[r][v] += factor * value[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(sums + r * stride + v * kLanes, at[r][v]);
  }
}

typedef void ScoreGroupFunction(const float*, int64_t, const float*, int64_t, float*, int64_t);
typedef void AddProductsFunction(const Factors&, const float*, int64_t, int64_t, float*);

struct PanelFunctions {
  ScoreGroupFunction* score[kPanelVectors];
  AddProductsFunction* add[kPanelVectors];
};

template <int... kVectors>
constexpr PanelFunctions MakePanelFunctions(std::integer_sequence<int, kVectors...>) {
  return {{ScoreGroup<kVectors + 1>...}, {AddProducts<kVectors + 1>...}};
}
constexpr PanelFunctions kPanel = MakePanelFunctions(std::make_integer_sequence<int, kPanelVectors>());

// AddProducts over all chunks of rows of `stride` floats.
inline void AddProductsOfPanel(const Factors& factors, const float* values, int64_t steps, int64_t stride,
                               float* sums) {
  const VectorChunks chunks(stride);
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
    const int64_t at = chunks.begin(chunk), vectors = chunks.begin(chunk + 1) - at;
    kPanel.add[vectors - 1](factors, values + at * kLanes, steps, stride, sums + at * kLanes);
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
