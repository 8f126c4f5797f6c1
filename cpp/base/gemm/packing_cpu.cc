#include <cstring>

#include "base/bf16.h"
#include "base/gemm/packing.h"
#include "base/gemm/tile.h"
#include "base/gemm/words.h"

namespace emu::EMU_ISA {
namespace {

// How words of a panel are made from values in memory. `Row` reads the words of one row from word `at` on,
// `Line` makes words of column values from the lines of one word (two lines for a pair; the second may be
// null: zeros). Each comes whole and, for the ends of rows, by the value.

struct F32FromF32 {
  static constexpr int kValues = 1;
  static U32 Row(const char* row, int64_t at) { return LoadWords(row + at * 4); }
  static U32 Line(const char* first, const char*, int64_t n) { return LoadWords(first + n * 4); }
  static uint32_t Value(const char* row, int64_t at) {
    uint32_t bits;
    std::memcpy(&bits, row + at * 4, 4);
    return bits;
  }
};

struct F32FromBf16 {
  static constexpr int kValues = 1;
  static U32 Row(const char* row, int64_t at) { return LoadHalves(row + at * 2) << 16; }
  static U32 Line(const char* first, const char*, int64_t n) { return LoadHalves(first + n * 2) << 16; }
  static uint32_t Value(const char* row, int64_t at) {
    uint16_t half;
    std::memcpy(&half, row + at * 2, 2);
    return static_cast<uint32_t>(half) << 16;
  }
};

struct Bf16FromBf16 {
  static constexpr int kValues = 2;
  static U32 Row(const char* row, int64_t at) { return LoadWords(row + at * 4); }
  static U32 Line(const char* first, const char* second, int64_t n) {
    const U32 low = LoadHalves(first + n * 2);
    return second == nullptr ? low : low | LoadHalves(second + n * 2) << 16;
  }
  static uint32_t Value(const char* row, int64_t at) {
    uint16_t half;
    std::memcpy(&half, row + at * 2, 2);
    return half;
  }
};

struct Bf16FromF32 {
  static constexpr int kValues = 2;
  static U32 Row(const char* row, int64_t at) {
    return RoundNeighbours(LoadWords(row + at * 8), LoadWords(row + at * 8 + kVectorBytes));
  }
  static U32 Line(const char* first, const char* second, int64_t n) {
    return RoundPairs(LoadWords(first + n * 4), second == nullptr ? U32{} : LoadWords(second + n * 4));
  }
  static uint32_t Value(const char* row, int64_t at) {
    float value;
    std::memcpy(&value, row + at * 4, 4);
    return ToBf16(value).bits;
  }
};

// Words of a row from word `at` on, as many as it has and zeros after them.
template <class Source>
U32 RowWords(const char* row, int64_t at, int64_t width) {
  if ((at + kLanes) * Source::kValues <= width) return Source::Row(row, at);
  uint32_t words[kLanes] = {};
  for (int64_t k = at * Source::kValues; k < width; ++k) {
    const int64_t from_first = k - at * Source::kValues;
    words[from_first / Source::kValues] |= Source::Value(row, k) << (from_first % Source::kValues * 16);
  }
  return LoadWords(words);
}

template <class Source>
void PackRowsFrom(const char* rows, int64_t row_bytes, int valid_rows, int64_t width, uint32_t* to) {
  const int64_t words = (width + Source::kValues - 1) / Source::kValues;
  for (int64_t begin = 0; begin < words; begin += kLanes) {
    const int64_t count = begin + kLanes < words ? kLanes : words - begin;
    for (int n = 0; n < kPanelRows; n += kLanes) {
      U32 square[kLanes];
#pragma GCC unroll 16
      for (int row = 0; row < kLanes; ++row) {
        square[row] =
            n + row < valid_rows ? RowWords<Source>(rows + (n + row) * row_bytes, begin, width) : U32{};
      }
      Transpose(square);
      if (count == kLanes) {
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k) StoreWords(to + (begin + k) * kPanelRows + n, square[k]);
      } else {
        for (int64_t k = 0; k < count; ++k) StoreWords(to + (begin + k) * kPanelRows + n, square[k]);
      }
    }
  }
}

template <class Source>
U32 LineWords(const char* first, const char* second, int64_t n, int64_t end) {
  if (n + kLanes <= end) return Source::Line(first, second, n);
  uint32_t words[kLanes] = {};
  for (int64_t at = n; at < end; ++at) {
    words[at - n] = Source::Value(first, at);
    if (Source::kValues == 2 && second != nullptr) words[at - n] |= Source::Value(second, at) << 16;
  }
  return LoadWords(words);
}

template <class Source>
void PackLineFrom(const char* first, const char* second, int64_t count, uint32_t* to, int64_t panel_words) {
  for (int64_t n = 0; n < count; n += kPanelRows, to += panel_words) {
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      StoreWords(to + v * kLanes, LineWords<Source>(first, second, n + v * kLanes, count));
    }
  }
}

void PackRows(DType dtype, DType source, const void* rows, int64_t row_bytes, int valid_rows, int64_t width,
              void* panel) {
  const char* from = static_cast<const char*>(rows);
  uint32_t* to = static_cast<uint32_t*>(panel);
  const auto pack = dtype == DType::kF32
                        ? (source == DType::kF32 ? PackRowsFrom<F32FromF32> : PackRowsFrom<F32FromBf16>)
                        : (source == DType::kF32 ? PackRowsFrom<Bf16FromF32> : PackRowsFrom<Bf16FromBf16>);
  pack(from, row_bytes, valid_rows, width, to);
}

void PackPanel(DType dtype, const void* rows, int valid_rows, int64_t width, void* panel) {
  PackRows(dtype, dtype, rows, width * BytesPerElement(dtype), valid_rows, width, panel);
}

void PackLine(DType dtype, DType source, const void* first, const void* second, int64_t count, void* to,
              int64_t panel_bytes) {
  const auto pack = dtype == DType::kF32
                        ? (source == DType::kF32 ? PackLineFrom<F32FromF32> : PackLineFrom<F32FromBf16>)
                        : (source == DType::kF32 ? PackLineFrom<Bf16FromF32> : PackLineFrom<Bf16FromBf16>);
  pack(static_cast<const char*>(first), static_cast<const char*>(second), count, static_cast<uint32_t*>(to),
       panel_bytes / 4);
}

}  // namespace

extern const PackKernels pack_kernels;
const PackKernels pack_kernels = {kPanelRows, PackPanel, PackRows, PackLine};

}  // namespace emu::EMU_ISA
