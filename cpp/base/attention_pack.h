// Key and value tiles in the order in which base/attention_panel.h reads them. Only *_cpu.cc files include
// this.
#pragma once

#include <utility>

#include "base/attention_block.h"
#include "base/bf16.h"
#include "base/row_vectors.h"

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

// kLanes elements as f32.
inline F32 LoadElements(const float* from) { return Load(from); }
inline F32 LoadElements(const Bf16* from) {
  typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
  return (F32)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), U32) << 16);
}

inline F32 LoadSomeElements(const float* from, int64_t count) { return LoadFirst(from, count); }
inline F32 LoadSomeElements(const Bf16* from, int64_t count) {
  Bf16 elements[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) elements[i] = from[i];
  return LoadElements(elements);
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

// rows[i][j] becomes rows[j][i], by exchanging ever larger blocks.
template <int kDistance = 1>
inline void Transpose(F32 (&rows)[kLanes]) {
  if constexpr (kDistance < kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & kDistance) == 0) {
        ExchangeBlocks<kDistance>(rows[i], rows[i + kDistance], std::make_integer_sequence<int, kLanes>());
      }
    }
    Transpose<kDistance * 2>(rows);
  }
}

// Keys that lie in rows of `width` elements -> packed [group of kKeyGroup keys][K][kKeyGroup], the last
// vector of keys filled up with zeros.
inline void PackKeys(const float* const* key_rows, int64_t keys, int64_t width, float* packed) {
  for (int64_t key = 0; key < keys; key += kLanes) {
    float* to = packed + key / kKeyGroup * kKeyGroup * width + key % kKeyGroup;
    const int64_t count = keys - key < kLanes ? keys - key : kLanes;
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t left = width - i < kLanes ? width - i : kLanes;
      F32 at[kLanes] = {};
      if (left == kLanes && count == kLanes) {
#pragma GCC unroll 16
        for (int lane = 0; lane < kLanes; ++lane) at[lane] = Load(key_rows[key + lane] + i);
      } else {
        for (int64_t lane = 0; lane < count; ++lane) at[lane] = LoadUpTo(key_rows[key + lane] + i, left);
      }
      Transpose(at);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) {
        if (j < left) Store(to + (i + j) * kKeyGroup, at[j]);
      }
    }
  }
}

// Value `key` of a tile -> packed [chunk][kKeyTile][lanes of the chunk], filled up with zeros to whole
// vectors.
template <class Element>
inline void PackValue(const Element* from, int64_t key, int64_t width, float* packed) {
  const VectorChunks chunks(width);
  const int64_t whole = width / kLanes;
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
    const int64_t begin = chunks.begin(chunk), end = chunks.begin(chunk + 1);
    float* to = packed + begin * kLanes * kKeyTile + key * (end - begin) * kLanes;
    for (int64_t v = begin; v < end; ++v, to += kLanes) {
      Store(to, v < whole ? LoadElements(from + v * kLanes)
                          : LoadSomeElements(from + v * kLanes, width - v * kLanes));
    }
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
