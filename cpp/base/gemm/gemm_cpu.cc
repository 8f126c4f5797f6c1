#include <cstring>
#include <type_traits>

#include "base/gemm/gemm.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "base/bf16.h"
#include "base/gemm/finish.h"
#include "base/gemm/lines.h"
#include "base/gemm/packing.h"
#include "base/gemm/tile.h"
#include "base/gemm/words.h"

namespace emu::EMU_ISA {
namespace {

// A block of the left operand lies in scratch tile by tile, each of kRowWords times kTileRows 32-bit words.
// The constant strides let the inner loop address all rows of a tile from one pointer.
constexpr int64_t kRowWords = 512;

// How a tile lies: row after row, or, when it comes from a transposed matrix, word after word of all rows.
struct ByRows {
  static constexpr int64_t kRow = kRowWords;
  static constexpr int64_t kWord = 1;
};
struct ByWords {
  static constexpr int64_t kRow = 1;
  static constexpr int64_t kWord = kTileRows;
};

// Words of one block of k where a task packs the panels itself: fewer, so that all its panels stay in cache.
constexpr int64_t kPackedWords = 256;

// A product says how one step multiplies (`a` points to the step's words of row 0, `b` to its vectors in the
// panel) and how values of the left operand are stored: `count` of them from value `at` of a row on, or the
// words of a step for kLanes rows (`second` is the value k + 1). Where Wide is another product, the words of
// a panel are worth widening once for several tiles of rows: `Widen` makes kStepWidth steps of Wide out of
// each.

struct F32Product {
  using Wide = F32Product;
  static constexpr int64_t kBlockWidth = kRowWords;
  static constexpr int kStepWidth = 1;
  static constexpr int kStepWords = 1;

  template <class Order, int kRows, int kVectors>
  static inline void Step(const float* a, const float* b, F32 (&acc)[kRows][kVectors]) {
    F32 weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) weights[v] = Load(b + v * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const F32 value = Splat(a[row * Order::kRow]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[row][v] += value * weights[v];
    }
  }

  static void StoreValues(const float* from, int64_t count, float* row, int64_t at) {
    std::memcpy(row + at, from, static_cast<size_t>(count) * 4);
  }
  static void StoreZeros(int64_t count, float* row, int64_t at) {
    std::memset(row + at, 0, static_cast<size_t>(count) * 4);
  }
  static inline void ColumnWords(U32 first, U32, U32 (&words)[kStepWords]) { words[0] = first; }
};

#if defined(__AVX512BF16__)

struct Bf16Product {
  using Wide = Bf16Product;
  static constexpr int64_t kBlockWidth = 2 * kRowWords;
  static constexpr int kStepWidth = 2;
  static constexpr int kStepWords = 1;

  template <class Order, int kRows, int kVectors>
  static inline void Step(const float* a, const float* b, F32 (&acc)[kRows][kVectors]) {
    F32 weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) weights[v] = Load(b + v * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const F32 pair = Splat(a[row * Order::kRow]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        acc[row][v] = (F32)_mm512_dpbf16_ps((__m512)acc[row][v], (__m512bh)weights[v], (__m512bh)pair);
      }
    }
  }

  static void StoreValues(const float* from, int64_t count, float* row, int64_t at) {
    char* to = reinterpret_cast<char*>(row) + at * 2;
    int64_t k = 0;
    for (; k + kLanes <= count; k += kLanes) {
      const __m256bh rounded = _mm512_cvtneps_pbh((__m512)Load(from + k));
      std::memcpy(to + k * 2, &rounded, sizeof rounded);
    }
    if (k == count) return;
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)LoadFirst(from + k, count - k));
    std::memcpy(to + k * 2, &rounded, static_cast<size_t>(count - k) * 2);
  }
  static void StoreZeros(int64_t count, float* row, int64_t at) {
    std::memset(reinterpret_cast<char*>(row) + at * 2, 0, static_cast<size_t>(count) * 2);
  }
  static inline void ColumnWords(U32 first, U32 second, U32 (&words)[kStepWords]) {
    words[0] = RoundPairs(first, second);
  }
};

#else

struct Bf16Product {
  using Wide = F32Product;
  static constexpr int64_t kBlockWidth = kRowWords;
  static constexpr int kStepWidth = 2;
  static constexpr int kStepWords = 2;

  template <class Order, int kRows, int kVectors>
  static inline void Step(const float* a, const float* b, F32 (&acc)[kRows][kVectors]) {
    F32 weights[kVectors];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const U32 pair = (U32)Load(b + v * kLanes);
        weights[v] = (F32)(half == 0 ? pair << 16 : pair & 0xffff0000u);
      }
#pragma GCC unroll 8
      for (int row = 0; row < kRows; ++row) {
        const F32 value = Splat(a[row * Order::kRow + half * Order::kWord]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) acc[row][v] += value * weights[v];
      }
    }
  }

  static void Widen(const float* words, int64_t steps, float* wide) {
    for (int64_t step = 0; step < steps; ++step, words += kPanelRows, wide += 2 * kPanelRows) {
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) {
        const U32 pair = (U32)Load(words + v * kLanes);
        Store(wide + v * kLanes, (F32)(pair << 16));
        Store(wide + kPanelRows + v * kLanes, (F32)(pair & 0xffff0000u));
      }
    }
  }

  static void StoreValues(const float* from, int64_t count, float* row, int64_t at) {
    int64_t k = 0;
    for (; k + kLanes <= count; k += kLanes) Store(row + at + k, (F32)RoundToHalves((U32)Load(from + k)));
    if (k == count) return;
    StoreFirst(row + at + k, (F32)RoundToHalves((U32)LoadFirst(from + k, count - k)), count - k);
  }
  static void StoreZeros(int64_t count, float* row, int64_t at) {
    std::memset(row + at, 0, static_cast<size_t>(count) * 4);
  }
  static inline void ColumnWords(U32 first, U32 second, U32 (&words)[kStepWords]) {
    words[0] = RoundToHalves(first);
    words[1] = RoundToHalves(second);
  }
};

#endif

// c[row] (+)= the tile's products over `steps` steps, for the first kVectors vectors of the panel.
template <class Product, class Order, int kRows, int kVectors>
void MultiplyTile(const float* a, const float* b, int64_t steps, bool first, float* c, int64_t stride) {
  F32 acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[row][v] = first ? F32{} : Load(c + row * stride + v * kLanes);
  }
  for (int64_t step = 0; step < steps; ++step) {
    Product::template Step<Order>(a + step * (Product::kStepWords * Order::kWord), b + step * kPanelRows,
                                  acc);
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) Store(c + row * stride + v * kLanes, acc[row][v]);
  }
}

using TileFunction = void (*)(const float* a, const float* b, int64_t steps, bool first, float* c,
                              int64_t stride);

// The tile for that many rows and at least that many columns.
template <class Product, class Order, int kRows = kTileRows, int kVectors = kTileVectors>
TileFunction TileOf(int64_t rows, int64_t columns) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return TileOf<Product, Order, kRows - 1, kVectors>(rows, columns);
  }
  if constexpr (kVectors > 1) {
    if (columns <= (kVectors - 1) * kLanes) return TileOf<Product, Order, kRows, kVectors - 1>(rows, columns);
  }
  return MultiplyTile<Product, Order, kRows, kVectors>;
}

// Words of a step for up to kLanes rows of the left operand, from a line of a transposed matrix.
U32 LoadColumn(const float* line, int64_t rows) {
  return rows >= kLanes ? (U32)Load(line) : (U32)LoadFirst(line, rows);
}

// The widest strip of rows that is taken from a transposed matrix in one go: a cache line where tiles allow
// it.
constexpr int kStripTiles = kTileRows < kLanes && kLanes % kTileRows == 0 ? kLanes / kTileRows : 1;
constexpr int kStripRows = kStripTiles * kTileRows;
constexpr int kStripVectors = (kStripRows + kLanes - 1) / kLanes;

template <class Product>
struct Multiplication {
  static constexpr bool kWidens = !std::is_same_v<Product, typename Product::Wide>;
  static constexpr int64_t kWideWords = kWidens ? kRowWords * kPanelRows : 0;  // of a panel's block

  const GemmShape& shape;
  const GemmOperands& operands;
  int64_t block_width;
  int64_t blocks;
  int64_t panel_words;

  Multiplication(const GemmShape& shape, const GemmOperands& operands) : shape(shape), operands(operands) {
    block_width = BlockWidth(operands.packed == nullptr);
    blocks = (shape.width + block_width - 1) / block_width;
    if (blocks == 0) blocks = 1;  // of no steps: stores zeros and finishes
    panel_words = operands.packed == nullptr ? kPackedWords * kPanelRows
                                             : (Steps(shape.width) * kPanelRows + 15) / 16 * 16;
  }

  static int64_t BlockWidth(bool packs) {
    return packs ? kPackedWords / Product::kStepWords * Product::kStepWidth : Product::kBlockWidth;
  }
  static int64_t Steps(int64_t width) { return (width + Product::kStepWidth - 1) / Product::kStepWidth; }

  int64_t Begin(int64_t block) const { return block * block_width; }
  int64_t End(int64_t block) const { return block + 1 < blocks ? Begin(block + 1) : shape.width; }

  void StoreRows(Rows rows, int64_t block, float* to) const {
    if (operands.left.columns != nullptr) {
      for (int64_t row = rows.begin; row < rows.end; row += kStripRows, to += kStripRows * kRowWords) {
        StoreStrip(row, row + kStripRows < rows.end ? kStripRows : rows.end - row, block, to);
      }
      return;
    }
    const int64_t begin = Begin(block), end = End(block), width = end - begin;
    const PiecewiseMatrix& left = operands.left.rows;
    for (int64_t row = rows.begin; row < rows.end; ++row, to += kRowWords) {
      for (int64_t at = begin, stop; at < end; at = stop) {
        const float* values = left.piece(left.source, row, at, end, &stop);
        if (values != nullptr) {
          Product::StoreValues(values, stop - at, to, at - begin);
        } else {
          Product::StoreZeros(stop - at, to, at - begin);
        }
      }
      if (width % Product::kStepWidth != 0) Product::StoreZeros(1, to, width);
    }
  }

  // Up to kStripRows rows of a transposed matrix, word after word, tile beside tile.
  void StoreStrip(int64_t row, int64_t count, int64_t block, float* to) const {
    const float* line = operands.left.columns + Begin(block) * operands.left.stride + row;
    const int64_t end = End(block);
    for (int64_t k = Begin(block); k < end; k += Product::kStepWidth) {
      const bool pair = Product::kStepWidth == 2 && k + 1 < end;
      U32 words[Product::kStepWords][kStripVectors] = {};
#pragma GCC unroll 4
      for (int v = 0; v < kStripVectors; ++v) {
        const int64_t left = count - v * kLanes;
        if (left <= 0) break;
        const U32 first = LoadColumn(line + v * kLanes, left);
        const U32 second = pair ? LoadColumn(line + operands.left.stride + v * kLanes, left) : U32{};
        U32 step[Product::kStepWords];
        Product::ColumnWords(first, second, step);
        for (int word = 0; word < Product::kStepWords; ++word) words[word][v] = step[word];
      }
#pragma GCC unroll 2
      for (int word = 0; word < Product::kStepWords; ++word, to += kTileRows) {
        const char* from = reinterpret_cast<const char*>(words[word]);
#pragma GCC unroll 4
        for (int tile = 0; tile < kStripTiles; ++tile) {
          if (tile * kTileRows >= count) break;
          std::memcpy(to + tile * (kTileRows * kRowWords), from + tile * (kTileRows * 4), kTileRows * 4);
        }
      }
      line += Product::kStepWidth * operands.left.stride;
    }
  }

  // Packs one block of k of the panels from the lines of w, panels kPackedWords words apart.
  void PackLines(Rows panels, int64_t block, float* to, float* lines) const {
    PackLinesOf(EMU_ISA::pack_kernels, shape, operands.lines, panels, {Begin(block), End(block)},
                panel_words * 4, to, lines);
  }

  int64_t OutStride() const { return operands.out_stride > 0 ? operands.out_stride : shape.outputs; }
  float* OutRow(int64_t row) const {
    return operands.out +
           (operands.place == nullptr ? row : operands.place(operands.place_source, row)) * OutStride();
  }

  // `b` is the panel's block as TileProduct reads it.
  template <class TileProduct>
  void Tile(Rows rows, int64_t panel, int64_t block, const float* a, const float* b) const {
    const int64_t steps = Steps(End(block) - Begin(block)) * (Product::kStepWidth / TileProduct::kStepWidth);
    const int64_t column = panel * kPanelRows;
    const int64_t columns = shape.outputs - column < kPanelRows ? shape.outputs - column : kPanelRows;
    const int64_t count = rows.end - rows.begin;
    const TileFunction tile = operands.left.columns != nullptr ? TileOf<TileProduct, ByWords>(count, columns)
                                                               : TileOf<TileProduct, ByRows>(count, columns);
    if (columns % kLanes == 0 && operands.place == nullptr) {
      tile(a, b, steps, block == 0, OutRow(rows.begin) + column, OutStride());
    } else {
      float padded[kTileRows * kPanelRows] = {};
      const size_t bytes = static_cast<size_t>(columns) * 4;
      for (int64_t row = 0; row < count && block > 0; ++row) {
        std::memcpy(padded + row * kPanelRows, OutRow(rows.begin + row) + column, bytes);
      }
      tile(a, b, steps, block == 0, padded, kPanelRows);
      for (int64_t row = 0; row < count; ++row) {
        std::memcpy(OutRow(rows.begin + row) + column, padded + row * kPanelRows, bytes);
      }
    }
    if (block + 1 == blocks) FinishTile(shape, operands, rows, {column, column + columns});
  }

  const float* Packed(int64_t panel, int64_t block) const {
    return static_cast<const float*>(operands.packed) + panel * panel_words +
           Begin(block) / Product::kStepWidth * kPanelRows;
  }

  void Run(Rows rows, Rows panels, float* a) const {
    if (operands.packed != nullptr && rows.end - rows.begin <= kTileRows) {
      // One tile of rows: the whole left operand fits, and each panel is read in one go.
      for (int64_t block = 0; block < blocks; ++block) {
        StoreRows(rows, block, a + block * kTileRows * kRowWords);
      }
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        for (int64_t block = 0; block < blocks; ++block) {
          Tile<Product>(rows, panel, block, a + block * kTileRows * kRowWords, Packed(panel, block));
        }
      }
      return;
    }
    float* wide = a + LeftRows(rows.end - rows.begin) * kRowWords;
    float* own = wide + kWideWords;
    for (int64_t block = 0; block < blocks; ++block) {
      StoreRows(rows, block, a);
      if (operands.packed == nullptr) {
        PackLines(panels, block, own, own + (panels.end - panels.begin) * panel_words);
      }
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        const float* b =
            operands.packed == nullptr ? own + (panel - panels.begin) * panel_words : Packed(panel, block);
        if constexpr (kWidens) {
          // Storing a panel anew costs as much as two tiles lose by widening it themselves.
          if (rows.end - rows.begin > 2 * kTileRows) {
            Product::Widen(b, Steps(End(block) - Begin(block)), wide);
            Tiles<typename Product::Wide>(rows, panel, block, a, wide);
            continue;
          }
        }
        Tiles<Product>(rows, panel, block, a, b);
      }
    }
  }

  template <class TileProduct>
  void Tiles(Rows rows, int64_t panel, int64_t block, const float* a, const float* b) const {
    for (int64_t row = rows.begin; row < rows.end; row += kTileRows) {
      const int64_t end = row + kTileRows < rows.end ? row + kTileRows : rows.end;
      Tile<TileProduct>({row, end}, panel, block, a + (row - rows.begin) * kRowWords, b);
    }
  }

  // Rows in scratch for so many rows: whole strips.
  static int64_t LeftRows(int64_t rows) { return (rows + kStripRows - 1) / kStripRows * kStripRows; }

  static int64_t ScratchBytes(const GemmShape& shape, int64_t rows, int64_t packed_panels) {
    // The last rows may be few, whatever the split.
    const int64_t few = (shape.width / Product::kBlockWidth + 1) * kTileRows;
    const int64_t left = LeftRows(rows > few ? rows : few) * kRowWords;
    return (left + kWideWords + packed_panels * kPanelRows * (kPackedWords + Product::kStepWidth)) * 4;
  }
};

int64_t ScratchBytes(const GemmShape& shape, int64_t rows, int64_t packed_panels) {
  return shape.weight == DType::kBf16 ? Multiplication<Bf16Product>::ScratchBytes(shape, rows, packed_panels)
                                      : Multiplication<F32Product>::ScratchBytes(shape, rows, packed_panels);
}

void Multiply(const GemmShape& shape, const GemmOperands& operands, Rows rows, Rows panels, void* scratch) {
  float* a = static_cast<float*>(scratch);
  if (shape.weight == DType::kBf16) {
    Multiplication<Bf16Product>(shape, operands).Run(rows, panels, a);
  } else {
    Multiplication<F32Product>(shape, operands).Run(rows, panels, a);
  }
}

}  // namespace

const GemmKernels gemm_kernels = {kTileRows, ScratchBytes, Multiply};

}  // namespace emu::EMU_ISA
