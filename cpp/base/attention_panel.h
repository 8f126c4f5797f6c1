// The two products of attention over packed tiles, register-blocked, and their form for one query row
// straight from the stored keys and values. Only *_cpu.cc files include this.
//
// Every element is one chain of multiply-adds from +0 in rising order (of i, or of the keys), in all forms.
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

// How many keys ahead the single-row loops ask for memory; the rows of one head lie far apart in a cache,
// where no hardware prefetcher follows.
inline constexpr int64_t kKeysAhead = 16;

template <class Element>
inline void PrefetchRow(const void* row, int64_t width) {
  const char* bytes = static_cast<const char*>(row);
  for (int64_t at = 0; at < width * static_cast<int64_t>(sizeof(Element)); at += 64)
    __builtin_prefetch(bytes + at);
}

// ScorePanel for one row without a packed tile. `located` >= keys rows may be prefetched.
template <class Element>
void ScoreRow(const float* query, const void* const* key_rows, int64_t keys, int64_t located, int64_t width,
              float* scores) {
  for (int64_t key = 0; key < keys; key += kLanes) {
    for (int64_t ahead = key + kKeysAhead; ahead < key + kKeysAhead + kLanes && ahead < located; ++ahead) {
      PrefetchRow<Element>(key_rows[ahead], width);
    }
    F32 sum = {};
    ForEachElementOfKeys<Element>(key_rows + key, keys - key, width,
                                  [&sum, query](int64_t i, F32 at) { sum += Splat(query[i]) * at; });
    Store(scores + key, sum);
  }
}

template <class Element, int kVectors>
void AddValuesToChunk(const float* weights, const void* const* value_rows, int64_t keys, int64_t begin,
                      int64_t width, float* sums) {
  F32 at[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) at[v] = Load(sums + v * kLanes);
  const int64_t last = width - begin - (kVectors - 1) * kLanes;  // elements in the last vector
  for (int64_t key = 0; key < keys; ++key) {
    const Element* from = static_cast<const Element*>(value_rows[key]) + begin;
    const F32 weight = Splat(weights[key]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors - 1; ++v) at[v] += weight * LoadElements(from + v * kLanes);
    const Element* end = from + (kVectors - 1) * kLanes;
    at[kVectors - 1] += weight * (last >= kLanes ? LoadElements(end) : LoadSomeElements(end, last));
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) Store(sums + v * kLanes, at[v]);
}

// AddValues for one row without a packed tile, all chunks. `located` >= keys rows may be prefetched.
template <class Element>
void AddValuesToRow(const float* weights, const void* const* value_rows, int64_t keys, int64_t located,
                    int64_t width, float* sums) {
  for (int64_t first = 0; first < keys; first += kKeysAhead) {
    const int64_t count = keys - first < kKeysAhead ? keys - first : kKeysAhead;
    for (int64_t ahead = first + kKeysAhead; ahead < first + 2 * kKeysAhead && ahead < located; ++ahead) {
      PrefetchRow<Element>(value_rows[ahead], width);
    }
    const float* at_weights = weights + first;
    const void* const* at_rows = value_rows + first;
    int64_t begin = 0;
    for (; begin + 8 * kLanes <= width; begin += 8 * kLanes) {
      AddValuesToChunk<Element, 8>(at_weights, at_rows, count, begin, width, sums + begin);
    }
    for (; begin < width - 2 * kLanes; begin += 3 * kLanes) {
      AddValuesToChunk<Element, 3>(at_weights, at_rows, count, begin, width, sums + begin);
    }
    for (; begin < width; begin += kLanes) {
      AddValuesToChunk<Element, 1>(at_weights, at_rows, count, begin, width, sums + begin);
    }
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
