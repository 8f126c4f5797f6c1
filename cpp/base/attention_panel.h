// The two products of attention over packed tiles, register-blocked. Only *_cpu.cc files include this.
//
// Every element is one chain of multiply-adds from +0 in rising order (of i, or of the keys).
#pragma once

#include "base/attention_pack.h"

namespace emu::EMU_ISA {
namespace {

// scores[r][key] = Σ over i of queries[r][i] * keys[i][key], for one group of a packed key tile.
template <int kRows, int kVectors>
void ScorePanel(const float* queries, int64_t query_stride, const float* keys, int64_t width, float* scores) {
  F32 sums[kRows][kVectors] = {};
  for (int64_t i = 0; i < width; ++i) {
    F32 at[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) at[v] = Load(keys + i * kKeyGroup + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const F32 query = Splat(queries[r * query_stride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] += query * at[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(scores + r * kKeyTile + v * kLanes, sums[r][v]);
  }
}

// sums[r] += Σ over keys of weights[r][key] * values[key], for one chunk of a packed value tile.
template <int kRows, int kVectors>
void AddValues(const float* weights, const float* values, int64_t keys, int64_t sums_stride, float* sums) {
  F32 at[kRows][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) at[r][v] = Load(sums + r * sums_stride + v * kLanes);
  }
#pragma GCC unroll 2
  for (int64_t key = 0; key < keys; ++key) {
    F32 value[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) value[v] = Load(values + (key * kVectors + v) * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const F32 weight = Splat(weights[r * kKeyTile + key]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) at[r][v] += weight * value[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(sums + r * sums_stride + v * kLanes, at[r][v]);
  }
}

typedef void ScorePanelFunction(const float*, int64_t, const float*, int64_t, float*);
typedef void AddValuesFunction(const float*, const float*, int64_t, int64_t, float*);

struct PanelFunctions {
  int rows;
  ScorePanelFunction* score[kPanelVectors];
  AddValuesFunction* add[kPanelVectors];
};

template <int kRows, int... kVectors>
constexpr PanelFunctions MakePanelFunctions(std::integer_sequence<int, kVectors...>) {
  return {kRows, {ScorePanel<kRows, kVectors + 1>...}, {AddValues<kRows, kVectors + 1>...}};
}
template <int kRows>
constexpr PanelFunctions kPanelFunctions =
    MakePanelFunctions<kRows>(std::make_integer_sequence<int, kPanelVectors>());

// For a full panel and for few rows; a count between runs in the next larger one.
inline const PanelFunctions& PanelFor(int64_t rows) {
  return rows > 4   ? kPanelFunctions<kPanelRows>
         : rows > 2 ? kPanelFunctions<4>
         : rows > 1 ? kPanelFunctions<2>
                    : kPanelFunctions<1>;
}

}  // namespace
}  // namespace emu::EMU_ISA
