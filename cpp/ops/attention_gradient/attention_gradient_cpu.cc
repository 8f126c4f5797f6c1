#include "base/attention_exponential.h"
#include "base/row_vectors.h"
#include "ops/attention_gradient/attention_gradient.h"
#include "ops/attention_gradient/attention_gradient_panel.h"

namespace emu::EMU_ISA {
namespace {

// Keys that the loops over sums of queries take at a time: their rows stay in the first-level cache.
constexpr int64_t kTile = 64;

struct Workspace {
  int64_t stride;        // of rows of K elements, filled up with zeros to whole vectors
  int64_t score_stride;  // of rows of S elements
  float* packed_keys;    // PackKeys, tile by tile
  float* packed_values;  // the same of v
  float* keys;           // [S][stride]
  float* dkeys;          // [S][stride]
  float* dvalues;        // [S][stride]
  // Of one block of query rows:
  float* queries;   // [row][stride], times scale
  float* dout;      // [row][stride]
  float* dqueries;  // [row][stride], over scale
  float* weights;   // [row][score_stride], scores and then P
  float* dscores;   // [row][score_stride], dout vᵀ and then dscores
  float* means;     // [row], out · dout
  float* inverse;   // [row], 1 / the sum of the exponentials
  KeyRange* seen;   // [row]
};

Workspace Carve(void* scratch, const AttentionShape& shape) {
  char* next = static_cast<char*>(scratch);
  const auto take = [&next](int64_t floats) {
    float* part = reinterpret_cast<float*>(next);
    next += (floats * 4 + 63) / 64 * 64;
    return part;
  };
  const int64_t rows = GradientBlockRows(shape.keys), keys = (shape.keys + 15) / 16 * 16 + 128;
  Workspace work;
  work.stride = PaddedToLanes(shape.width);
  work.score_stride = GradientScoreStride(shape.keys);
  work.packed_keys = take(keys * work.stride);
  work.packed_values = take(keys * work.stride);
  work.keys = take(keys * work.stride);
  work.dkeys = take(keys * work.stride);
  work.dvalues = take(keys * work.stride);
  work.queries = take(rows * work.stride);
  work.dout = take(rows * work.stride);
  work.dqueries = take(rows * work.stride);
  work.weights = take(rows * work.score_stride);
  work.dscores = take(rows * work.score_stride);
  work.means = take(rows);
  work.inverse = take(rows);
  work.seen =
      reinterpret_cast<KeyRange*>(take(rows * static_cast<int64_t>(sizeof(KeyRange) / sizeof(float))));
  return work;
}

void CopyRow(const float* from, int64_t width, float factor, float* to) {
  for (int64_t i = 0; i < width; i += kLanes) Store(to + i, LoadUpTo(from + i, width - i) * factor);
}

void Clear(float* from, int64_t floats) {
  for (int64_t i = 0; i < floats; i += kLanes) Store(from + i, F32{});
}

float Dot(const float* a, const float* b, int64_t width) {
  F32 sum = {};
  for (int64_t i = 0; i < width; i += kLanes) sum += LoadUpTo(a + i, width - i) * LoadUpTo(b + i, width - i);
  return SumLanes(sum);
}

// Keys and values of one key head, in the orders in which the products read them.
void PackHead(const AttentionShape& shape, const float* k, const float* v, const Workspace& work) {
  const int64_t from_stride = shape.key_heads * shape.width;
  const float* rows[kKeyTile];
  for (int64_t begin = 0; begin < shape.keys; begin += kKeyTile) {
    const int64_t count = shape.keys - begin < kKeyTile ? shape.keys - begin : kKeyTile;
    for (int64_t s = 0; s < count; ++s) rows[s] = k + (begin + s) * from_stride;
    PackKeys(rows, count, shape.width, work.packed_keys + begin * shape.width);
    for (int64_t s = 0; s < count; ++s) rows[s] = v + (begin + s) * from_stride;
    PackKeys(rows, count, shape.width, work.packed_values + begin * shape.width);
  }
  for (int64_t s = 0; s < shape.keys; ++s) {
    CopyRow(k + s * from_stride, shape.width, 1, work.keys + s * work.stride);
  }
}

// A block of query rows of one head.
struct Block {
  int64_t rows;
  int64_t panels;
  KeyRange keys;  // that any of the rows sees; begins at a whole vector
};

inline KeyRange Union(KeyRange a, KeyRange b) {
  if (a.begin >= a.end) return b;
  if (b.begin >= b.end) return a;
  return {a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

KeyRange SeenByPanel(const Workspace& work, int64_t panel) {
  KeyRange seen = {0, 0};
  for (int r = 0; r < kRows; ++r) seen = Union(seen, work.seen[panel * kRows + r]);
  return {seen.begin / kLanes * kLanes, seen.end};
}

Block LoadBlock(const AttentionShape& shape, const AttentionGradientInputs& inputs, int64_t batch,
                int64_t head, Rows rows, const Workspace& work) {
  Block block = {rows.end - rows.begin, (rows.end - rows.begin + kRows - 1) / kRows, {0, 0}};
  for (int64_t r = 0; r < block.panels * kRows; ++r) {
    float *query = work.queries + r * work.stride, *dout = work.dout + r * work.stride;
    if (r >= block.rows) {  // fills up the last panel
      work.seen[r] = {0, 0};
      Clear(query, work.stride);
      Clear(dout, work.stride);
      continue;
    }
    const int64_t t = rows.begin + r;
    const int64_t at = ((batch * shape.queries + t) * shape.heads + head) * shape.width;
    work.seen[r] = shape.Visible(inputs.first_key, batch, t);
    block.keys = Union(block.keys, work.seen[r]);
    CopyRow(inputs.q + at, shape.width, shape.scale, query);
    CopyRow(inputs.dout + at, shape.width, 1, dout);
    work.means[r] = Dot(inputs.out + at, inputs.dout + at, shape.width);
  }
  block.keys.begin = block.keys.begin / kLanes * kLanes;
  Clear(work.dqueries, block.panels * kRows * work.stride);
  return block;
}

// products[r][key] = rows[r] · key, where the panel of row r sees the key.
void MultiplyByKeys(const Workspace& work, const Block& block, int64_t width, const float* rows,
                    const float* packed, float* products) {
  for (int64_t group = block.keys.begin / kKeyGroup * kKeyGroup; group < block.keys.end; group += kKeyGroup) {
    for (int64_t panel = 0; panel < block.panels; ++panel) {
      const KeyRange seen = SeenByPanel(work, panel);
      const int64_t begin = seen.begin > group ? seen.begin : group;
      const int64_t end = seen.end < group + kKeyGroup ? seen.end : group + kKeyGroup;
      if (begin >= end) continue;
      const int64_t vectors = (end - begin + kLanes - 1) / kLanes;
      kPanel.score[vectors - 1](rows + panel * kRows * work.stride, work.stride,
                                packed + group * width + (begin - group), width,
                                products + panel * kRows * work.score_stride + begin, work.score_stride);
    }
  }
}

// The lanes from `key` on that lie within the range.
inline I32 InRange(int64_t key, KeyRange range) {
  const I32 lane = LaneNumbers(std::make_integer_sequence<int, kLanes>());
  return (lane >= static_cast<int32_t>(range.begin - key)) & (lane < static_cast<int32_t>(range.end - key));
}

// Scores of a row to e^(score - largest); returns 1 / their sum, or 0 where every score is -infinity.
__attribute__((noinline)) float ExponentialsOfRow(float* scores, const float* bias, KeyRange seen) {
  const int64_t begin = seen.begin / kLanes * kLanes;
  F32 most = Splat(kLowest);
  for (int64_t key = begin; key < seen.end; key += kLanes) {
    F32 score = Load(scores + key);
    if (bias != nullptr) score += LoadUpTo(bias + key, seen.end - key);
    if (key < seen.begin || key + kLanes > seen.end) score = InRange(key, seen) ? score : Splat(kLowest);
    Store(scores + key, score);
    most = score > most ? score : most;
  }
  const float largest = MaxLanes(most), shift = largest > kLowest ? largest : 0;
  F32 total = {};
  for (int64_t key = begin; key < seen.end; key += kLanes) {
    const F32 value = ExpOfNonPositive(Load(scores + key) - shift);
    Store(scores + key, value);
    total += value;
  }
  const float sum = SumLanes(total);
  return sum == 0 ? 0 : 1 / sum;
}

// Exponentials and dout vᵀ of a row to P and dscores; zeros in the rest of the block's keys, and of the panel
// that reaches beyond them.
__attribute__((noinline)) void FinishRow(const Block& block, KeyRange seen, float inverse, float mean,
                                         float* weights, float* dscores) {
  const int64_t end = block.keys.end + kRows;
  int64_t key = block.keys.begin;
  const auto clear_to = [&](int64_t to) {
    for (; key < to; key += kLanes) {
      Store(weights + key, F32{});
      Store(dscores + key, F32{});
    }
  };
  if (seen.begin >= seen.end) return clear_to(end);
  clear_to(seen.begin / kLanes * kLanes);
  for (; key < seen.end; key += kLanes) {
    const F32 weight = Load(weights + key) * inverse;
    F32 dscore = weight * (Load(dscores + key) - mean);
    // A product with a key that the row does not see may be infinite.
    if (key < seen.begin || key + kLanes > seen.end) dscore = InRange(key, seen) ? dscore : F32{};
    Store(weights + key, weight);
    Store(dscores + key, dscore);
  }
  clear_to(end);
}

// dk += dscoresᵀ q and dv += Pᵀ dout, by panels of keys; of the rows only those between the first and the
// last that see a key of the panel.
void AddToKeys(const Workspace& work, const Block& block) {
  int64_t first = 0;
  for (int64_t key = block.keys.begin; key < block.keys.end; key += kRows) {
    // The ends of the rows' ranges never fall.
    while (first < block.rows && work.seen[first].end <= key) ++first;
    int64_t last = block.rows;
    while (last > first && work.seen[last - 1].begin >= key + kRows) --last;
    const int64_t from = first * work.score_stride + key;
    AddProductsOfPanel({work.dscores + from, 1, work.score_stride}, work.queries + first * work.stride,
                       last - first, work.stride, work.dkeys + key * work.stride);
    AddProductsOfPanel({work.weights + from, 1, work.score_stride}, work.dout + first * work.stride,
                       last - first, work.stride, work.dvalues + key * work.stride);
  }
}

// dq += dscores k, tile by tile.
void AddToQueries(const Workspace& work, const Block& block) {
  for (int64_t tile = block.keys.begin / kTile * kTile; tile < block.keys.end; tile += kTile) {
    for (int64_t panel = 0; panel < block.panels; ++panel) {
      const KeyRange seen = SeenByPanel(work, panel);
      const int64_t begin = seen.begin > tile ? seen.begin : tile;
      const int64_t end = seen.end < tile + kTile ? seen.end : tile + kTile;
      if (begin >= end) continue;
      AddProductsOfPanel({work.dscores + panel * kRows * work.score_stride + begin, work.score_stride, 1},
                         work.keys + begin * work.stride, end - begin, work.stride,
                         work.dqueries + panel * kRows * work.stride);
    }
  }
}

void StoreRow(const float* from, int64_t width, float factor, float* to) {
  for (int64_t i = 0; i < width; i += kLanes) StoreUpTo(to + i, Load(from + i) * factor, width - i);
}

void AddToBias(const float* dscores, KeyRange seen, float* dbias) {
  for (int64_t key = seen.begin / kLanes * kLanes; key < seen.end; key += kLanes) {
    const int64_t rest = seen.end - key;
    StoreUpTo(dbias + key, LoadUpTo(dbias + key, rest) + Load(dscores + key), rest);
  }
}

void GradientOfBlock(const AttentionShape& shape, const AttentionGradientInputs& inputs, int64_t batch,
                     int64_t head, Rows rows, const Workspace& work,
                     const AttentionGradientOutputs& outputs) {
  const Block block = LoadBlock(shape, inputs, batch, head, rows, work);
  const auto bias_row = [&](int64_t r) { return (head * shape.queries + rows.begin + r) * shape.keys; };
  MultiplyByKeys(work, block, shape.width, work.queries, work.packed_keys, work.weights);
  for (int64_t r = 0; r < block.rows; ++r) {
    if (work.seen[r].begin >= work.seen[r].end) continue;
    const float* bias = inputs.bias == nullptr ? nullptr : inputs.bias + bias_row(r);
    work.inverse[r] = ExponentialsOfRow(work.weights + r * work.score_stride, bias, work.seen[r]);
  }
  MultiplyByKeys(work, block, shape.width, work.dout, work.packed_values, work.dscores);
  for (int64_t r = 0; r < block.panels * kRows; ++r) {
    FinishRow(block, work.seen[r], work.inverse[r], work.means[r], work.weights + r * work.score_stride,
              work.dscores + r * work.score_stride);
  }
  AddToKeys(work, block);
  AddToQueries(work, block);
  for (int64_t r = 0; r < block.rows; ++r) {
    const int64_t at = ((batch * shape.queries + rows.begin + r) * shape.heads + head) * shape.width;
    StoreRow(work.dqueries + r * work.stride, shape.width, shape.scale, outputs.dq + at);
    if (outputs.dbias != nullptr) {
      AddToBias(work.dscores + r * work.score_stride, work.seen[r], outputs.dbias + bias_row(r));
    }
  }
}

void GradientOfKeyHead(const AttentionShape& shape, const AttentionGradientInputs& inputs, int64_t batch,
                       int64_t key_head, void* scratch, const AttentionGradientOutputs& outputs) {
  const Workspace work = Carve(scratch, shape);
  const int64_t start = (batch * shape.keys * shape.key_heads + key_head) * shape.width;
  const int64_t shared = shape.heads / shape.key_heads, block_rows = GradientBlockRows(shape.keys);
  PackHead(shape, inputs.k + start, inputs.v + start, work);
  // Panels of keys may begin at the last key.
  Clear(work.dkeys, (shape.keys + kRows) * work.stride);
  Clear(work.dvalues, (shape.keys + kRows) * work.stride);
  for (int64_t head = key_head * shared; head < (key_head + 1) * shared; ++head) {
    for (int64_t t = 0; t < shape.queries; t += block_rows) {
      const Rows rows = {t, t + block_rows < shape.queries ? t + block_rows : shape.queries};
      GradientOfBlock(shape, inputs, batch, head, rows, work, outputs);
    }
  }
  for (int64_t s = 0; s < shape.keys; ++s) {
    const int64_t at = start + s * shape.key_heads * shape.width;
    StoreRow(work.dkeys + s * work.stride, shape.width, 1, outputs.dk + at);
    StoreRow(work.dvalues + s * work.stride, shape.width, 1, outputs.dv + at);
  }
}

}  // namespace

const AttentionGradientKernels attention_gradient = {GradientOfKeyHead};

}  // namespace emu::EMU_ISA
