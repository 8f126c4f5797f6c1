// Products of bf16 on the processor's tiles: 16 rows of 64 bytes, of which one instruction multiplies two.
//
// Weights are packed for vdpbf16ps, whose pairs are just what the tile instruction wants of its right
// operand: 16 pairs of 16 weight rows. The left operand is rounded into scratch row after row, the width
// filled up with zeros to whole tiles; a panel whose width ends within a tile is filled up in scratch as
// well, for a zero times what lies behind it might be a NaN.
#include <immintrin.h>

#include <cstring>

#include "base/gemm/finish.h"
#include "base/gemm/lines.h"
#include "base/gemm/packing.h"
#include "base/gemm/tile.h"
#include "base/gemm/words.h"

namespace emu {
namespace isa_avx512bf16 {
extern const PackKernels pack_kernels;
}

namespace EMU_ISA {
namespace {

constexpr int64_t kSide = 16;       // rows of a tile, and 32-bit words of its rows
constexpr int64_t kLine = 64;       // bytes of a row of a tile
constexpr int64_t kStepWidth = 32;  // values of k that one instruction multiplies
constexpr int64_t kPairBytes = kPanelRows * 4;
constexpr int64_t kStepBytes = kSide * kPairBytes;  // of a panel
constexpr int64_t kTileGroup = 2 * kSide;           // rows of the left operand that share a read of a panel

// Widths of one block of k: rounded rows and panels that a task packs itself should stay in cache.
constexpr int64_t kBlockWidth = 1024;
constexpr int64_t kPackedWidth = 512;
// Of so few rows the whole width fits, and every panel is read in one go.
constexpr int64_t kFewRows = kTileGroup;

int64_t RoundUp(int64_t value, int64_t by) { return (value + by - 1) / by * by; }

// From one rounded row to the next, in bytes: an odd number of cache lines, so that the rows of a tile lie in
// different sets of the cache.
int64_t RowBytes(int64_t width) { return (RoundUp(width, kStepWidth) / kStepWidth | 1) * kLine; }

// The layout that LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// Accumulators are tiles 0..5 (row tile times 3 plus column tile), 6 holds the left and 7 the right operand.
// Sets the rows of the left operand, so that few rows cost no more than they are.
void ConfigureTiles(int64_t rows) {
  TileConfig config = {};
  config.palette = 1;
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = kLine;
    config.rows[tile] = static_cast<uint8_t>(tile == 7 ? kSide : rows);
  }
  _tile_loadconfig(&config);
}

// The compiler does not know what tile loads read.
inline void MemoryFence() { __asm__ volatile("" ::: "memory"); }

// c (+)= a b over `steps` steps of `a` and as many of the panel at `b`, then over the one at `last` if there
// is one; strides in bytes.
template <int kRowTiles, int kColumnTiles>
void MultiplyTiles(const char* a, int64_t a_stride, const char* b, int64_t steps, const char* last,
                   bool first, float* c, int64_t c_stride) {
  MemoryFence();
  float* const lower = c + kSide * c_stride / 4;
  if (first) {
    _tile_zero(0);
    if constexpr (kColumnTiles > 1) _tile_zero(1);
    if constexpr (kColumnTiles > 2) _tile_zero(2);
    if constexpr (kRowTiles > 1) _tile_zero(3);
    if constexpr (kRowTiles > 1 && kColumnTiles > 1) _tile_zero(4);
    if constexpr (kRowTiles > 1 && kColumnTiles > 2) _tile_zero(5);
  } else {
    _tile_loadd(0, c, c_stride);
    if constexpr (kColumnTiles > 1) _tile_loadd(1, c + kSide, c_stride);
    if constexpr (kColumnTiles > 2) _tile_loadd(2, c + 2 * kSide, c_stride);
    if constexpr (kRowTiles > 1) _tile_loadd(3, lower, c_stride);
    if constexpr (kRowTiles > 1 && kColumnTiles > 1) _tile_loadd(4, lower + kSide, c_stride);
    if constexpr (kRowTiles > 1 && kColumnTiles > 2) _tile_loadd(5, lower + 2 * kSide, c_stride);
  }
  const int64_t all = last == nullptr ? steps : steps + 1;
  for (int64_t step = 0; step < all; ++step, a += kLine, b += kStepBytes) {
    if (step == steps) b = last;
    _tile_loadd(6, a, a_stride);
    _tile_loadd(7, b, kPairBytes);
    _tile_dpbf16ps(0, 6, 7);
    if constexpr (kColumnTiles > 1) {
      _tile_loadd(7, b + kLine, kPairBytes);
      _tile_dpbf16ps(1, 6, 7);
    }
    if constexpr (kColumnTiles > 2) {
      _tile_loadd(7, b + 2 * kLine, kPairBytes);
      _tile_dpbf16ps(2, 6, 7);
    }
    // The second row of tiles goes backwards from the columns that are loaded.
    if constexpr (kRowTiles > 1) {
      _tile_loadd(6, a + kSide * a_stride, a_stride);
      if constexpr (kColumnTiles > 2) {
        _tile_dpbf16ps(5, 6, 7);
        _tile_loadd(7, b + kLine, kPairBytes);
      }
      if constexpr (kColumnTiles > 1) {
        _tile_dpbf16ps(4, 6, 7);
        _tile_loadd(7, b, kPairBytes);
      }
      _tile_dpbf16ps(3, 6, 7);
    }
  }
  _tile_stored(0, c, c_stride);
  if constexpr (kColumnTiles > 1) _tile_stored(1, c + kSide, c_stride);
  if constexpr (kColumnTiles > 2) _tile_stored(2, c + 2 * kSide, c_stride);
  if constexpr (kRowTiles > 1) _tile_stored(3, lower, c_stride);
  if constexpr (kRowTiles > 1 && kColumnTiles > 1) _tile_stored(4, lower + kSide, c_stride);
  if constexpr (kRowTiles > 1 && kColumnTiles > 2) _tile_stored(5, lower + 2 * kSide, c_stride);
  MemoryFence();
}

using TilesFunction = void (*)(const char* a, int64_t a_stride, const char* b, int64_t steps,
                               const char* last, bool first, float* c, int64_t c_stride);

constexpr TilesFunction kTilesFunctions[2][kTileVectors] = {
    {MultiplyTiles<1, 1>, MultiplyTiles<1, 2>, MultiplyTiles<1, 3>},
    {MultiplyTiles<2, 1>, MultiplyTiles<2, 2>, MultiplyTiles<2, 3>}};

__mmask16 FirstLanes(int64_t count) {
  return count >= kLanes ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// The lanes that the mask keeps, zeros elsewhere; reads nothing else.
U32 LoadMasked(const float* from, __mmask16 mask) { return (U32)_mm512_maskz_loadu_ps(mask, from); }

// Rounds `count` values to bf16.
void RoundValues(const float* from, int64_t count, char* to) {
  int64_t k = 0;
  for (; k + 2 * kLanes <= count; k += 2 * kLanes) {
    StoreWords(to + k * 2, RoundNeighbours(LoadWords(from + k), LoadWords(from + k + kLanes)));
  }
  const int64_t left = count - k;
  if (left == 0) return;
  const U32 rounded = RoundNeighbours(LoadMasked(from + k, FirstLanes(left)),
                                      LoadMasked(from + k + kLanes, FirstLanes(left - kLanes)));
  _mm512_mask_storeu_epi16(to + k * 2, static_cast<__mmask32>((1u << left) - 1), (__m512i)rounded);
}

struct Multiplication {
  const GemmShape& shape;
  const GemmOperands& operands;
  Rows rows;
  int64_t block_width;
  int64_t blocks;
  int64_t row_bytes;    // of the rounded left operand
  int64_t panel_bytes;  // from one panel to the next

  Multiplication(const GemmShape& shape, const GemmOperands& operands, Rows rows)
      : shape(shape), operands(operands), rows(rows) {
    const bool packs = operands.packed == nullptr;
    block_width = packs ? kPackedWidth : kBlockWidth;
    if (!packs && rows.end - rows.begin <= kFewRows) block_width = RoundUp(shape.width, kStepWidth);
    blocks = shape.width > block_width ? (shape.width + block_width - 1) / block_width : 1;
    row_bytes = RowBytes(shape.width < block_width ? shape.width : block_width);
    panel_bytes = packs ? kPackedWidth / 2 * kPairBytes : RoundUp((shape.width + 1) / 2 * kPairBytes, 64);
  }

  int64_t Begin(int64_t block) const { return block * block_width; }
  int64_t End(int64_t block) const { return block + 1 < blocks ? Begin(block + 1) : shape.width; }

  // Rows of the left operand in scratch: few keep their number, which is then that of a tile, others are
  // filled up to whole tiles.
  int64_t TileRows() const {
    const int64_t count = rows.end - rows.begin;
    return count < kSide ? count : kSide;
  }

  void StoreRows(int64_t block, char* to) const {
    const int64_t begin = Begin(block), end = End(block), count = rows.end - rows.begin;
    const size_t rest = static_cast<size_t>(RoundUp(end - begin, kStepWidth) - (end - begin)) * 2;
    const PiecewiseMatrix& left = operands.left.rows;
    for (int64_t row = rows.begin; row < rows.end; ++row, to += row_bytes) {
      for (int64_t at = begin, stop; at < end; at = stop) {
        const float* values = left.piece(left.source, row, at, end, &stop);
        if (values != nullptr) {
          RoundValues(values, stop - at, to + (at - begin) * 2);
        } else {
          std::memset(to + (at - begin) * 2, 0, static_cast<size_t>(stop - at) * 2);
        }
      }
      if (rest > 0) std::memset(to + (end - begin) * 2, 0, rest);
    }
    const int64_t missing = RoundUp(count, TileRows()) - count;
    if (missing > 0) std::memset(to, 0, static_cast<size_t>(missing * row_bytes));
  }

  // The same from a transposed matrix, a tile at a time. Writes whole tiles, whatever the number of rows.
  void StoreColumns(int64_t block, char* to) const {
    const int64_t stride = operands.left.stride, end = End(block), count = rows.end - rows.begin;
    for (int64_t k = Begin(block); k < end; k += kStepWidth, to += kLine) {
      for (int64_t row = 0; row < count; row += kSide) {
        const float* line = operands.left.columns + k * stride + rows.begin + row;
        const __mmask16 valid = FirstLanes(count - row);
        U32 square[kLanes];
        if (k + kStepWidth <= end) {
#pragma GCC unroll 16
          for (int pair = 0; pair < kLanes; ++pair) {
            square[pair] = RoundPairs(LoadMasked(line + 2 * pair * stride, valid),
                                      LoadMasked(line + (2 * pair + 1) * stride, valid));
          }
        } else {
          for (int pair = 0; pair < kLanes; ++pair) {
            const int64_t first = k + 2 * pair;
            square[pair] =
                RoundPairs(LoadMasked(line + 2 * pair * stride, first < end ? valid : 0),
                           LoadMasked(line + (2 * pair + 1) * stride, first + 1 < end ? valid : 0));
          }
        }
        Transpose(square);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) StoreWords(to + (row + i) * row_bytes, square[i]);
      }
    }
  }

  int64_t OutStride() const { return operands.out_stride > 0 ? operands.out_stride : shape.outputs; }
  float* OutRow(int64_t row) const {
    return operands.out +
           (operands.place == nullptr ? row : operands.place(operands.place_source, row)) * OutStride();
  }

  // `last` is the panel's last step filled up with zeros, or null.
  void Tiles(Rows part, int64_t panel, int64_t block, const char* a, const char* b, const char* last) const {
    const int64_t column = panel * kPanelRows;
    const int64_t columns = shape.outputs - column < kPanelRows ? shape.outputs - column : kPanelRows;
    const int64_t count = part.end - part.begin, tile_rows = TileRows();
    const int64_t width = End(block) - Begin(block);
    const int64_t steps = last == nullptr ? RoundUp(width, kStepWidth) / kStepWidth : width / kStepWidth;
    const TilesFunction tiles = kTilesFunctions[count > kSide][(columns - 1) / kSide];
    if (columns % kSide == 0 && count % tile_rows == 0 && operands.place == nullptr) {
      tiles(a, row_bytes, b, steps, last, block == 0, OutRow(part.begin) + column, OutStride() * 4);
    } else {
      alignas(64) float padded[kTileGroup * kPanelRows];
      const size_t bytes = static_cast<size_t>(columns) * 4;
      for (int64_t row = 0; row < count && block > 0; ++row) {
        std::memcpy(padded + row * kPanelRows, OutRow(part.begin + row) + column, bytes);
      }
      tiles(a, row_bytes, b, steps, last, block == 0, padded, kPairBytes);
      for (int64_t row = 0; row < count; ++row) {
        std::memcpy(OutRow(part.begin + row) + column, padded + row * kPanelRows, bytes);
      }
    }
    if (block + 1 == blocks) FinishTile(shape, operands, part, {column, column + columns});
  }

  void Run(Rows panels, char* a) const {
    const bool packs = operands.packed == nullptr;
    char* own = a + RoundUp(rows.end - rows.begin, kSide) * row_bytes;
    float* lines = reinterpret_cast<float*>(own + (panels.end - panels.begin) * panel_bytes);
    ConfigureTiles(TileRows());
    for (int64_t block = 0; block < blocks; ++block) {
      if (operands.left.columns != nullptr) {
        StoreColumns(block, a);
      } else {
        StoreRows(block, a);
      }
      const int64_t width = End(block) - Begin(block), whole = width / kStepWidth * kStepWidth;
      if (packs) {
        PackLinesOf(isa_avx512bf16::pack_kernels, shape, operands.lines, panels, {Begin(block), End(block)},
                    panel_bytes, reinterpret_cast<float*>(own), lines);
      }
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        const char* b = packs ? own + (panel - panels.begin) * panel_bytes
                              : static_cast<const char*>(operands.packed) + panel * panel_bytes +
                                    Begin(block) / 2 * kPairBytes;
        alignas(64) char filled[kStepBytes];
        if (whole < width) {
          const size_t rest = static_cast<size_t>((width - whole + 1) / 2 * kPairBytes);
          std::memcpy(filled, b + whole / 2 * kPairBytes, rest);
          std::memset(filled + rest, 0, sizeof filled - rest);
        }
        for (int64_t row = rows.begin; row < rows.end; row += kTileGroup) {
          const int64_t end = row + kTileGroup < rows.end ? row + kTileGroup : rows.end;
          Tiles({row, end}, panel, block, a + (row - rows.begin) * row_bytes, b,
                whole < width ? filled : nullptr);
        }
      }
    }
    _tile_release();
  }
};

int64_t ScratchBytes(const GemmShape& shape, int64_t rows, int64_t packed_panels) {
  // The last rows may be few, whatever the split.
  const int64_t few = kFewRows * RowBytes(shape.width);
  const int64_t many = RoundUp(rows, kSide) * RowBytes(shape.width < kBlockWidth ? shape.width : kBlockWidth);
  const int64_t own = packed_panels * kPairBytes * (kPackedWidth / 2 + 2);
  return (few > many ? few : many) + own;
}

void Multiply(const GemmShape& shape, const GemmOperands& operands, Rows rows, Rows panels, void* scratch) {
  Multiplication(shape, operands, rows).Run(panels, static_cast<char*>(scratch));
}

}  // namespace

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels = {static_cast<int>(kSide), ScratchBytes, Multiply};

}  // namespace EMU_ISA
}  // namespace emu
