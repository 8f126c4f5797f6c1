#include <cstring>

#include "base/gemm/gemm.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "base/bf16.h"
#include "base/gemm/tile.h"
#include "base/vector_math.h"

namespace emu::EMU_ISA {
namespace {

// A block of the left operand lies in scratch as rows of kRowWords 32-bit words. The constant stride lets the
// inner loop address all rows of a tile from one pointer.
constexpr int64_t kRowWords = 512;

// A product says how one step multiplies (`a` points to the step's words of row 0, `b` to its vectors in the
// panel) and how values of the left operand are stored: `count` of them from value `at` of a row on.

struct F32Product {
  static constexpr int64_t kBlockWidth = kRowWords;
  static constexpr int kStepWidth = 1;
  static constexpr int kStepWords = 1;

  template <int kRows, int kVectors>
  static inline void Step(const float* a, const float* b, F32 (&acc)[kRows][kVectors]) {
    F32 weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) weights[v] = Load(b + v * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const F32 value = Splat(a[row * kRowWords]);
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
};

#if defined(__AVX512BF16__)

struct Bf16Product {
  static constexpr int64_t kBlockWidth = 2 * kRowWords;
  static constexpr int kStepWidth = 2;
  static constexpr int kStepWords = 1;

  template <int kRows, int kVectors>
  static inline void Step(const float* a, const float* b, F32 (&acc)[kRows][kVectors]) {
    F32 weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) weights[v] = Load(b + v * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const F32 pair = Splat(a[row * kRowWords]);
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
};

#else

struct Bf16Product {
  static constexpr int64_t kBlockWidth = kRowWords;
  static constexpr int kStepWidth = 2;
  static constexpr int kStepWords = 2;

  template <int kRows, int kVectors>
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
        const F32 value = Splat(a[row * kRowWords + half]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) acc[row][v] += value * weights[v];
      }
    }
  }

  static void StoreValues(const float* from, int64_t count, float* row, int64_t at) {
    for (int64_t k = 0; k < count; ++k) row[at + k] = ToFloat(ToBf16(from[k]));
  }
  static void StoreZeros(int64_t count, float* row, int64_t at) {
    std::memset(row + at, 0, static_cast<size_t>(count) * 4);
  }
};

#endif

// c[row] (+)= the tile's products over `steps` steps.
// c[row] (+)= the tile's products over `steps` steps, for the first kVectors vectors of the panel.
template <class Product, int kRows, int kVectors>
void MultiplyTile(const float* a, const float* b, int64_t steps, bool first, float* c, int64_t stride) {
  F32 acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[row][v] = first ? F32{} : Load(c + row * stride + v * kLanes);
  }
  for (int64_t step = 0; step < steps; ++step) {
    Product::Step(a + step * Product::kStepWords, b + step * kPanelRows, acc);
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
template <class Product, int kRows = kTileRows, int kVectors = kTileVectors>
TileFunction TileOf(int64_t rows, int64_t columns) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return TileOf<Product, kRows - 1, kVectors>(rows, columns);
  }
  if constexpr (kVectors > 1) {
    if (columns <= (kVectors - 1) * kLanes) return TileOf<Product, kRows, kVectors - 1>(rows, columns);
  }
  return MultiplyTile<Product, kRows, kVectors>;
}

// out = act(out + bias) + residual on a tile. One loop computes full and partial vectors alike, so an
// element's result does not depend on where its tile ends.
void FinishTile(const GemmShape& shape, const GemmOperands& operands, Rows rows, Rows columns) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    for (int64_t column = columns.begin; column < columns.end; column += kLanes) {
      const int64_t left = columns.end - column, at = row * shape.outputs + column;
      const bool full = left >= kLanes;
      F32 value = full ? Load(operands.out + at) : LoadFirst(operands.out + at, left);
      if (operands.bias != nullptr) {
        value += full ? Load(operands.bias + column) : LoadFirst(operands.bias + column, left);
      }
      value = Activate(operands.activation, value);
      if (operands.residual != nullptr) {
        value += full ? Load(operands.residual + at) : LoadFirst(operands.residual + at, left);
      }
      if (full) {
        Store(operands.out + at, value);
      } else {
        StoreFirst(operands.out + at, value, left);
      }
    }
  }
}

template <class Product>
struct Multiplication {
  const GemmShape& shape;
  const GemmOperands& operands;
  int64_t blocks;
  int64_t panel_floats;

  Multiplication(const GemmShape& shape, const GemmOperands& operands) : shape(shape), operands(operands) {
    blocks = (shape.width + Product::kBlockWidth - 1) / Product::kBlockWidth;
    if (blocks == 0) blocks = 1;  // of no steps: stores zeros and finishes
    const int64_t steps = (shape.width + Product::kStepWidth - 1) / Product::kStepWidth;
    panel_floats = (steps * kPanelRows + 15) / 16 * 16;
  }

  int64_t Begin(int64_t block) const { return block * Product::kBlockWidth; }
  int64_t End(int64_t block) const { return block + 1 < blocks ? Begin(block + 1) : shape.width; }

  void StoreRows(Rows rows, int64_t block, float* to) const {
    const int64_t begin = Begin(block), end = End(block), width = end - begin;
    const LeftOperand& left = operands.left;
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

  void Tile(Rows rows, int64_t panel, int64_t block, const float* a) const {
    const int64_t steps = (End(block) - Begin(block) + Product::kStepWidth - 1) / Product::kStepWidth;
    const float* b = static_cast<const float*>(operands.packed) + panel * panel_floats +
                     Begin(block) / Product::kStepWidth * kPanelRows;
    const int64_t column = panel * kPanelRows;
    const int64_t columns = shape.outputs - column < kPanelRows ? shape.outputs - column : kPanelRows;
    const int64_t count = rows.end - rows.begin;
    const TileFunction tile = TileOf<Product>(count, columns);
    float* c = operands.out + rows.begin * shape.outputs + column;
    if (columns % kLanes == 0) {
      tile(a, b, steps, block == 0, c, shape.outputs);
    } else {
      float padded[kTileRows * kPanelRows] = {};
      const size_t bytes = static_cast<size_t>(columns) * 4;
      for (int64_t row = 0; row < count && block > 0; ++row) {
        std::memcpy(padded + row * kPanelRows, c + row * shape.outputs, bytes);
      }
      tile(a, b, steps, block == 0, padded, kPanelRows);
      for (int64_t row = 0; row < count; ++row) {
        std::memcpy(c + row * shape.outputs, padded + row * kPanelRows, bytes);
      }
    }
    if (block + 1 == blocks) FinishTile(shape, operands, rows, {column, column + columns});
  }

  void Run(Rows rows, Rows panels, float* a) const {
    if (rows.end - rows.begin <= kTileRows) {
      // One tile of rows: the whole left operand fits, and each panel is read in one go.
      for (int64_t block = 0; block < blocks; ++block) {
        StoreRows(rows, block, a + block * kTileRows * kRowWords);
      }
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        for (int64_t block = 0; block < blocks; ++block) {
          Tile(rows, panel, block, a + block * kTileRows * kRowWords);
        }
      }
      return;
    }
    for (int64_t block = 0; block < blocks; ++block) {
      StoreRows(rows, block, a);
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        for (int64_t row = rows.begin; row < rows.end; row += kTileRows) {
          const int64_t end = row + kTileRows < rows.end ? row + kTileRows : rows.end;
          Tile({row, end}, panel, block, a + (row - rows.begin) * kRowWords);
        }
      }
    }
  }
};

int64_t ScratchBytes(const GemmShape& shape, int64_t rows) {
  const int64_t block_width =
      shape.weight == DType::kBf16 ? Bf16Product::kBlockWidth : F32Product::kBlockWidth;
  // The last rows may be few, whatever the split.
  const int64_t few = (shape.width / block_width + 1) * kTileRows;
  return (rows > few ? rows : few) * kRowWords * 4;
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
