// softmax(scale · q·k + bias) · v of a block of query rows against one key head, for the kernels of attention
// and cachedAttention. Only *_cpu.cc files include this.
//
// Online softmax (Milakov and Gimelshein 2018) over tiles of kKeyTile keys. For one query row, with m the
// largest score so far, l the sum of weights per lane and o the weighted sum of values, a tile does
//   m' = max(m, scores),  a = e^(m - m'),  p = e^(scores - m'),  l = a l + p,  o = a o + p v
// and the result is o / Σl.
//
// A row's result is the same to the bit whatever rows share its block: tiles start at key 0, every element is
// one chain of multiply-adds over i (scores) or over the keys (o) in rising order, and a key that the row
// does not see has weight +0, which changes no finite sum. (A masked value that is infinite or NaN does reach
// a row that shares a panel with one that sees it, as it does in PyTorch.)
#pragma once

#include <limits>

#include "base/attention_pack.h"
#include "base/vector_math.h"

namespace emu::EMU_ISA {
namespace {

// The rows of a block; the caller fills the arrays, one entry a row.
struct AttentionRows {
  const float** queries;  // [K] each
  const float** biases;   // [seen] each
  int64_t* seen;          // the row sees keys 0..seen-1
  float** results;        // [K] each
};

struct AttentionWorkspace {
  AttentionRows rows;
  float* queries;  // [panel][K][kPanelRows], times scale
  float* sums;     // [row][padded K], o above
  F32* totals;     // [row], l above
  float* largest;  // [row], m above
  float* keys;     // PackKeys
  float* values;   // PackValues
  float* weights;  // [kPanelRows][kKeyTile], scores and then p above
  const void** key_rows;
  const void** value_rows;
};

inline AttentionWorkspace CarveWorkspace(void* scratch, int64_t rows, int64_t width) {
  char* next = static_cast<char*>(scratch);
  const auto take = [&next](int64_t bytes) -> void* {
    char* part = next;
    next += (bytes + 63) / 64 * 64;
    return part;
  };
  const int64_t padded_rows = (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
  const int64_t padded_width = PaddedToLanes(width);
  AttentionWorkspace work;
  work.rows.queries = static_cast<const float**>(take(rows * 8));
  work.rows.biases = static_cast<const float**>(take(rows * 8));
  work.rows.seen = static_cast<int64_t*>(take(rows * 8));
  work.rows.results = static_cast<float**>(take(rows * 8));
  work.queries = static_cast<float*>(take(padded_rows * width * 4));
  work.sums = static_cast<float*>(take(padded_rows * padded_width * 4));
  work.totals = static_cast<F32*>(take(rows * kVectorBytes));
  work.largest = static_cast<float*>(take(rows * 4));
  work.keys = static_cast<float*>(take(kKeyTile * width * 4));
  work.values = static_cast<float*>(take(kKeyTile * padded_width * 4));
  work.weights = static_cast<float*>(take(kPanelRows * kKeyTile * 4));
  work.key_rows = static_cast<const void**>(take(kKeyTile * 8));
  work.value_rows = static_cast<const void**>(take(kKeyTile * 8));
  return work;
}

// scores[r][key] = Σ over i of queries[i][r] * keys[i][key], for one group of a packed key tile.
template <int kRows, int kVectors>
void ScorePanel(const float* queries, const float* keys, int64_t width, float* scores) {
  F32 sums[kRows][kVectors] = {};
#pragma GCC unroll 2
  for (int64_t i = 0; i < width; ++i) {
    F32 at[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) at[v] = Load(keys + i * kKeyGroup + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const F32 query = Splat(queries[i * kPanelRows + r]);
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

typedef void (*ScorePanelFunction)(const float*, const float*, int64_t, float*);
typedef void (*AddValuesFunction)(const float*, const float*, int64_t, int64_t, float*);

struct PanelFunctions {
  int rows;
  ScorePanelFunction score[kPanelVectors];
  AddValuesFunction add[kPanelVectors];
};

template <int kRows, int... kVectors>
constexpr PanelFunctions MakePanelFunctions(std::integer_sequence<int, kVectors...>) {
  return {kRows, {ScorePanel<kRows, kVectors + 1>...}, {AddValues<kRows, kVectors + 1>...}};
}

// For the full panel and for the few rows of a decoding step; a row count between runs in the next larger
// one.
template <int kRows>
constexpr PanelFunctions kPanelFunctions =
    MakePanelFunctions<kRows>(std::make_integer_sequence<int, kPanelVectors>());
constexpr const PanelFunctions* kPanels[] = {&kPanelFunctions<1>, &kPanelFunctions<2>, &kPanelFunctions<4>,
                                             &kPanelFunctions<kPanelRows>};

inline const PanelFunctions& PanelFor(int64_t rows) {
  int index = 0;
  while (kPanels[index]->rows < rows) ++index;
  return *kPanels[index];
}

inline float MaxLanes(F32 value) {
  float lanes[kLanes];
  Store(lanes, value);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) {
      lanes[lane] = lanes[lane + width] > lanes[lane] ? lanes[lane + width] : lanes[lane];
    }
  }
  return lanes[0];
}

inline I32 LaneNumbers() {
  I32 numbers;
  for (int lane = 0; lane < kLanes; ++lane) numbers[lane] = lane;
  return numbers;
}

// Multiplies `count` vectors. Apart from the loops that add, so that no compiler fuses this product into a
// sum.
__attribute__((noinline)) void ScaleVectors(float* at, int64_t count, float factor) {
  for (int64_t v = 0; v < count; ++v) Store(at + v * kLanes, Load(at + v * kLanes) * factor);
}

// Turns the scores of one row and tile into weights, `padded` of them, +0 from key `seen` on; updates the
// row's largest score, its totals and its sums of values.
__attribute__((noinline)) void SoftmaxTile(float* scores, const float* bias, int64_t seen, int64_t padded,
                                           int64_t width_vectors, float* largest, F32* totals, float* sums) {
  const float lowest = -std::numeric_limits<float>::infinity();
  F32 most = Splat(lowest);
  const I32 numbers = LaneNumbers();
  for (int64_t key = 0; key < seen; key += kLanes) {
    F32 score = Load(scores + key);
    if (bias != nullptr) {
      score += seen - key >= kLanes ? Load(bias + key) : LoadSome(bias + key, seen - key);
    }
    score = numbers < static_cast<int32_t>(seen - key) ? score : Splat(lowest);
    Store(scores + key, score);
    most = score > most ? score : most;
  }
  const float before = *largest, tile_largest = MaxLanes(most);
  const float after = tile_largest > before ? tile_largest : before;
  if (after > before) {
    *largest = after;
    if (before > lowest) {
      const float factor = Exp(Splat(before - after))[0];
      *totals *= factor;
      ScaleVectors(sums, width_vectors, factor);
    }
  }
  const float shift = after > lowest ? after : 0;  // every score -inf: all weights are e^-inf
  F32 total = *totals;
  int64_t key = 0;
  for (; key < seen; key += kLanes) {
    const F32 weight = numbers < static_cast<int32_t>(seen - key) ? Exp(Load(scores + key) - shift) : F32{};
    Store(scores + key, weight);
    total += weight;
  }
  *totals = total;
  for (; key < padded; key += kLanes) Store(scores + key, F32{});
}

// One tile of `keys` packed keys from key `begin` on, against rows first..first+count-1 (one panel).
inline void AttendPanel(const AttentionWorkspace& work, int64_t first, int64_t count, int64_t begin,
                        int64_t keys, int64_t width, bool has_bias) {
  int64_t most_seen = 0;
  for (int64_t r = first; r < first + count; ++r) {
    if (work.rows.seen[r] > most_seen) most_seen = work.rows.seen[r];
  }
  if (most_seen <= begin) return;
  if (most_seen - begin < keys) keys = most_seen - begin;
  const int64_t padded_keys = PaddedToLanes(keys), padded_width = PaddedToLanes(width);

  const PanelFunctions& panel = PanelFor(count);
  for (int64_t key = 0; key < keys; key += kKeyGroup) {
    const int64_t vectors = padded_keys - key < kKeyGroup ? (padded_keys - key) / kLanes : kPanelVectors;
    panel.score[vectors - 1](work.queries + first * width, work.keys + key * width, width,
                             work.weights + key);
  }
  for (int64_t r = 0; r < panel.rows; ++r) {
    const int64_t row = first + r;
    float* scores = work.weights + r * kKeyTile;
    const int64_t seen = r < count ? work.rows.seen[row] - begin : 0;
    if (seen <= 0) {
      for (int64_t key = 0; key < padded_keys; key += kLanes) Store(scores + key, F32{});
      continue;
    }
    SoftmaxTile(scores, has_bias ? work.rows.biases[row] + begin : nullptr, seen < keys ? seen : keys,
                padded_keys, padded_width / kLanes, work.largest + row, work.totals + row,
                work.sums + row * padded_width);
  }
  const VectorChunks chunks(width);
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
    const int64_t at = chunks.begin(chunk), vectors = chunks.begin(chunk + 1) - at;
    panel.add[vectors - 1](work.weights, work.values + at * kLanes * kKeyTile, keys, padded_width,
                           work.sums + first * padded_width + at * kLanes);
  }
}

inline void StartRows(const AttentionWorkspace& work, int64_t rows, int64_t width, float scale) {
  const int64_t padded_width = PaddedToLanes(width);
  const int64_t padded_rows = (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
  for (int64_t row = 0; row < padded_rows; ++row) {
    float* to = work.queries + row / kPanelRows * kPanelRows * width + row % kPanelRows;
    for (int64_t i = 0; i < width; ++i)
      to[i * kPanelRows] = row < rows ? work.rows.queries[row][i] * scale : 0;
  }
  for (int64_t i = 0; i < padded_rows * padded_width; i += kLanes) Store(work.sums + i, F32{});
  for (int64_t row = 0; row < rows; ++row) {
    work.largest[row] = -std::numeric_limits<float>::infinity();
    work.totals[row] = F32{};
  }
}

inline void FinishRows(const AttentionWorkspace& work, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
    const float total = SumLanes(work.totals[row]);
    const float factor = total == 0 ? 0 : 1 / total;
    const float* sums = work.sums + row * PaddedToLanes(width);
    // Adding +0 makes -0 (left by an underflow) the same as the +0 that a masked key may have made of it.
    for (int64_t i = 0; i < width; ++i) work.rows.results[row][i] = sums[i] * factor + 0.0f;
  }
}

// Attends `rows` filled rows. `locate(begin, keys, key_rows, value_rows)` writes where keys
// begin..begin+keys-1 and their values lie, as pointers to K elements.
template <class Element, class Locate>
void AttendRows(const AttentionWorkspace& work, int64_t rows, int64_t width, float scale, bool has_bias,
                const Locate& locate) {
  StartRows(work, rows, width, scale);
  int64_t most_seen = 0;
  for (int64_t row = 0; row < rows; ++row) {
    if (work.rows.seen[row] > most_seen) most_seen = work.rows.seen[row];
  }
  for (int64_t begin = 0; begin < most_seen; begin += kKeyTile) {
    const int64_t keys = most_seen - begin < kKeyTile ? most_seen - begin : kKeyTile;
    locate(begin, keys, work.key_rows, work.value_rows);
    PackKeys<Element>(work.key_rows, keys, width, work.keys);
    PackValues<Element>(work.value_rows, keys, width, work.values);
    for (int64_t first = 0; first < rows; first += kPanelRows) {
      const int64_t count = rows - first < kPanelRows ? rows - first : kPanelRows;
      AttendPanel(work, first, count, begin, keys, width, has_bias);
    }
  }
  FinishRows(work, rows, width);
}

}  // namespace
}  // namespace emu::EMU_ISA
