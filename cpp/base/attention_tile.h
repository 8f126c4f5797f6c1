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

#include "base/attention_panel.h"
#include "base/attention_softmax.h"

namespace emu::EMU_ISA {
namespace {

// The rows of a block; the caller fills the arrays, one entry a row.
struct AttentionRows {
  const float** queries;  // [K] each
  const float** biases;   // [seen] each
  int64_t* seen;          // the row sees keys first..seen-1
  const int64_t* first;   // null where every row sees its keys from 0 on; not above seen
  float** results;        // [K] each
};

struct AttentionWorkspace {
  AttentionRows rows;
  int64_t* first_keys;  // room for rows.first
  float* queries;       // [row][padded K], times scale
  float* sums;          // [row][padded K], o above
  F32* totals;          // [row], l above
  float* largest;       // [row], m above
  float* keys;          // PackKeys
  float* values;        // PackValue
  float* weights;       // [kPanelRows][kKeyTile], scores and then p above
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
  work.rows.first = nullptr;
  work.first_keys = static_cast<int64_t*>(take(rows * 8));
  work.queries = static_cast<float*>(take(padded_rows * padded_width * 4));
  work.sums = static_cast<float*>(take(padded_rows * padded_width * 4));
  work.totals = static_cast<F32*>(take(rows * kVectorBytes));
  work.largest = static_cast<float*>(take(rows * 4));
  work.keys = static_cast<float*>(take(kKeyTile * width * 4));
  work.values = static_cast<float*>(take(kKeyTile * padded_width * 4));
  work.weights = static_cast<float*>(take(kPanelRows * kKeyTile * 4));
  return work;
}

inline int64_t MostSeen(const AttentionWorkspace& work, int64_t first, int64_t count) {
  int64_t most = 0;
  for (int64_t row = first; row < first + count; ++row) {
    if (work.rows.seen[row] > most) most = work.rows.seen[row];
  }
  return most;
}

// The first key that any of the rows sees.
inline int64_t LeastFirst(const AttentionWorkspace& work, int64_t first, int64_t count) {
  if (work.rows.first == nullptr) return 0;
  int64_t least = MostSeen(work, first, count);
  for (int64_t row = first; row < first + count; ++row) {
    if (work.rows.seen[row] > 0 && work.rows.first[row] < least) least = work.rows.first[row];
  }
  return least;
}

// Scores of row `row`, in `weights`, to weights; rows that do not reach into the tile get zeros.
inline void WeighRow(const AttentionWorkspace& work, int64_t row, const KeyTile& tile, int64_t width,
                     bool has_bias, float* weights) {
  const int64_t padded_keys = PaddedToLanes(tile.count), padded_width = PaddedToLanes(width);
  const int64_t seen = work.rows.seen[row] - tile.begin;
  const int64_t hidden = work.rows.first == nullptr ? 0 : work.rows.first[row] - tile.begin;
  if (seen <= 0 || hidden >= tile.count) {
    for (int64_t key = 0; key < padded_keys; key += kLanes) Store(weights + key, F32{});
    return;
  }
  for (int64_t key = 0; key < hidden; ++key) weights[key] = kLowest;
  SoftmaxTile(weights, has_bias ? work.rows.biases[row] + tile.begin : nullptr,
              seen < tile.count ? seen : tile.count, padded_keys,
              {work.largest + row, work.totals + row, work.sums + row * padded_width, padded_width / kLanes});
}

// Rows first..first+count-1 (one panel) against a packed tile.
inline void AttendPanel(const AttentionWorkspace& work, int64_t first, int64_t count, KeyTile tile,
                        int64_t width, bool has_bias) {
  const int64_t most_seen = MostSeen(work, first, count) - tile.begin;
  if (most_seen <= 0 || LeastFirst(work, first, count) - tile.begin >= tile.count) return;
  if (most_seen < tile.count) tile.count = most_seen;
  const int64_t padded_keys = PaddedToLanes(tile.count), padded_width = PaddedToLanes(width);

  const PanelFunctions& panel = PanelFor(count);
  for (int64_t key = 0; key < tile.count; key += kKeyGroup) {
    const int64_t vectors = padded_keys - key < kKeyGroup ? (padded_keys - key) / kLanes : kPanelVectors;
    panel.score[vectors - 1](work.queries + first * padded_width, padded_width, work.keys + key * width,
                             width, work.weights + key);
  }
  for (int64_t r = 0; r < count; ++r) {
    WeighRow(work, first + r, tile, width, has_bias, work.weights + r * kKeyTile);
  }
  const VectorChunks chunks(width);
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
    const int64_t at = chunks.begin(chunk), vectors = chunks.begin(chunk + 1) - at;
    panel.add[vectors - 1](work.weights, work.values + at * kLanes * kKeyTile, tile.count, padded_width,
                           work.sums + first * padded_width + at * kLanes);
  }
}

// Row 0 alone against a tile that is not packed.
template <class Keys>
inline void AttendRow(const AttentionWorkspace& work, const KeyTile& tile, int64_t width, bool has_bias,
                      const Keys& keys) {
  keys.Score(work.queries, tile, work.weights);
  WeighRow(work, 0, tile, width, has_bias, work.weights);
  keys.AddValues(work.weights, tile, work.sums);
}

inline void StartRows(const AttentionWorkspace& work, int64_t rows, int64_t width, float scale) {
  const int64_t padded_width = PaddedToLanes(width);
  const int64_t in_last_panel = (rows - 1) % kPanelRows + 1;
  const int64_t padded_rows = rows - in_last_panel + PanelFor(in_last_panel).rows;
  for (int64_t row = 0; row < rows; ++row) {
    float* to = work.queries + row * padded_width;
    const float* from = work.rows.queries[row];
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) Store(to + i, Load(from + i) * scale);
    if (i < width) Store(to + i, LoadSomeElements(from + i, width - i) * scale);
    work.largest[row] = kLowest;
    work.totals[row] = F32{};
  }
  // The rows that fill up the last panel: their scores and sums are computed and dropped.
  for (int64_t i = rows * padded_width; i < padded_rows * padded_width; i += kLanes)
    Store(work.queries + i, F32{});
  for (int64_t i = 0; i < padded_rows * padded_width; i += kLanes) Store(work.sums + i, F32{});
}

inline void FinishRows(const AttentionWorkspace& work, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
    const float total = SumLanes(work.totals[row]);
    const float factor = total == 0 ? 0 : 1 / total;
    const float* sums = work.sums + row * PaddedToLanes(width);
    float* to = work.rows.results[row];
    // Adding +0 makes -0 (left by an underflow) the same as the +0 that a masked key may have made of it.
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) Store(to + i, Load(sums + i) * factor + F32{});
    if (i < width) StoreFirst(to + i, Load(sums + i) * factor + F32{}, width - i);
  }
}

// Attends `rows` filled rows, at least one. `keys` gives the keys and values of a tile:
//   Pack(tile, packed_keys, packed_values)  in the orders of base/attention_pack.h
// and where it is of a kind that kServesRowsAlone
//   ServesOneRow()                          whether a row alone takes them where they lie, through
//   Score(query, tile, scores)              scores[key] of the tile, and anything up to a whole vector
//   AddValues(weights, tile, sums)          sums += Σ weights[key] * value
// in the chains that base/attention_panel.h describes.
template <class Keys>
void AttendRows(const AttentionWorkspace& work, int64_t rows, int64_t width, float scale, bool has_bias,
                const Keys& keys) {
  StartRows(work, rows, width, scale);
  const int64_t most_seen = MostSeen(work, 0, rows);
  const int64_t first_tile = LeastFirst(work, 0, rows) / kKeyTile * kKeyTile;
  for (int64_t begin = first_tile; begin < most_seen; begin += kKeyTile) {
    const int64_t left = most_seen - begin;
    const KeyTile tile = {begin, left < kKeyTile ? left : kKeyTile};
    if constexpr (Keys::kServesRowsAlone) {
      if (rows == 1 && keys.ServesOneRow()) {
        AttendRow(work, tile, width, has_bias, keys);
        continue;
      }
    }
    keys.Pack(tile, work.keys, work.values);
    for (int64_t first = 0; first < rows; first += kPanelRows) {
      const int64_t count = rows - first < kPanelRows ? rows - first : kPanelRows;
      AttendPanel(work, first, count, tile, width, has_bias);
    }
  }
  FinishRows(work, rows, width);
}

}  // namespace
}  // namespace emu::EMU_ISA
