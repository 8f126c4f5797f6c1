// Key and value tiles in the order in which base/attention_tile.h reads them. Only *_cpu.cc files include
// this.
#pragma once

#include <utility>

#include "base/attention_block.h"
#include "base/bf16.h"
#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

// Register blocking: kPanelRows query rows by up to kPanelVectors vectors of accumulators, plus the operands.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int kPanelVectors = 4;
#else
inline constexpr int kPanelVectors = 2;
#endif
inline constexpr int64_t kKeyGroup = kPanelVectors * kLanes;

inline int64_t PaddedToLanes(int64_t width) { return (width + kLanes - 1) / kLanes * kLanes; }

// The vectors of a row of `width` elements in chunks of at most kPanelVectors, as equal as can be.
struct VectorChunks {
  int64_t vectors;
  int64_t count;
  explicit VectorChunks(int64_t width)
      : vectors(PaddedToLanes(width) / kLanes), count((vectors + kPanelVectors - 1) / kPanelVectors) {}
  int64_t begin(int64_t chunk) const { return chunk * vectors / count; }
};

inline F32 LoadElements(const float* from) { return Load(from); }
inline F32 LoadElements(const Bf16* from) {
  typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
  return (F32)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), U32) << 16);
}
inline float ToF32(float value) { return value; }
inline float ToF32(Bf16 value) { return ToFloat(value); }

// The first `count` < kLanes elements, then zeros; reads no further.
template <class Element>
inline F32 LoadSome(const Element* from, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = ToF32(from[i]);
  return Load(lanes);
}

template <int kDistance, int... kLane>
inline void ExchangeBlocks(F32& a, F32& b, std::integer_sequence<int, kLane...>) {
  const F32 first =
      __builtin_shufflevector(a, b, ((kLane & kDistance) ? kLanes + kLane - kDistance : kLane)...);
  const F32 second =
      __builtin_shufflevector(a, b, ((kLane & kDistance) ? kLanes + kLane : kLane + kDistance)...);
  a = first;
  b = second;
}

template <int kDistance>
inline void TransposeFrom(F32 (&rows)[kLanes]) {
  if constexpr (kDistance < kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & kDistance) == 0) {
        ExchangeBlocks<kDistance>(rows[i], rows[i + kDistance], std::make_integer_sequence<int, kLanes>());
      }
    }
    TransposeFrom<kDistance * 2>(rows);
  }
}

// rows[i][j] becomes rows[j][i].
inline void Transpose(F32 (&rows)[kLanes]) { TransposeFrom<1>(rows); }

// Loads elements i..i+kLanes-1 of kLanes keys, transposed: at[j] holds element i + j of every key. Keys from
// `keys` on and elements from `width` on are zero.
template <class Element>
inline void LoadTransposed(const void* const* key_rows, int64_t keys, int64_t i, int64_t width,
                           F32 (&at)[kLanes]) {
  const int64_t left = width - i;
  if (keys >= kLanes && left >= kLanes) {
#pragma GCC unroll 16
    for (int lane = 0; lane < kLanes; ++lane) {
      at[lane] = LoadElements(static_cast<const Element*>(key_rows[lane]) + i);
    }
  } else {
    for (int lane = 0; lane < kLanes; ++lane) {
      at[lane] = lane < keys ? LoadSome(static_cast<const Element*>(key_rows[lane]) + i,
                                        left < kLanes ? left : kLanes)
                             : F32{};
    }
  }
  Transpose(at);
}

// -> packed [group of kKeyGroup keys][K][kKeyGroup], the last vector of keys filled up with zeros.
template <class Element>
void PackKeys(const void* const* key_rows, int64_t keys, int64_t width, float* packed) {
  for (int64_t key = 0; key < keys; key += kLanes) {
    float* to = packed + key / kKeyGroup * kKeyGroup * width + key % kKeyGroup;
    for (int64_t i = 0; i < width; i += kLanes) {
      F32 at[kLanes];
      LoadTransposed<Element>(key_rows + key, keys - key, i, width, at);
      const int64_t rows = width - i < kLanes ? width - i : kLanes;
      for (int64_t j = 0; j < rows; ++j) Store(to + (i + j) * kKeyGroup, at[j]);
    }
  }
}

// -> packed [chunk][kKeyTile][lanes of the chunk], each row filled up with zeros to whole vectors.
template <class Element>
void PackValues(const void* const* value_rows, int64_t keys, int64_t width, float* packed) {
  const VectorChunks chunks(width);
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
    const int64_t begin = chunks.begin(chunk), vectors = chunks.begin(chunk + 1) - begin;
    float* to = packed + begin * kLanes * kKeyTile;
    for (int64_t key = 0; key < keys; ++key) {
      const Element* from = static_cast<const Element*>(value_rows[key]);
      for (int64_t v = begin; v < begin + vectors; ++v, to += kLanes) {
        const int64_t left = width - v * kLanes;
        Store(to, left >= kLanes ? LoadElements(from + v * kLanes) : LoadSome(from + v * kLanes, left));
      }
    }
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
