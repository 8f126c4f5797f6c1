// Key and value tiles in the order in which base/attention_panel.h reads them. Only *_cpu.cc files include
// this.
#pragma once

#include <utility>

#include "base/attention_block.h"
#include "base/bf16.h"
#include "base/simd.h"
#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#endif

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

// A word is 32 bits of a row as it is stored: one f32 or two bf16.
template <class Element>
inline constexpr int kPerWord = 4 / sizeof(Element);

// kLanes elements as f32.
inline F32 LoadElements(const float* from) { return Load(from); }
inline F32 LoadElements(const Bf16* from) {
  typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
  return (F32)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), U32) << 16);
}

// kLanes words, of which only the first `count` elements exist; the others are zero and are not read.
template <class Element>
inline F32 LoadSomeWords(const Element* from, int64_t count) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (sizeof(Element) == 2) {
    return (F32)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << count) - 1), from);
  } else {
    return LoadFirst(from, count);
  }
#else
  Element elements[kLanes * kPerWord<Element>] = {};
  for (int64_t i = 0; i < count; ++i) elements[i] = from[i];
  F32 words;
  __builtin_memcpy(&words, elements, sizeof words);
  return words;
#endif
}

inline F32 LoadSomeElements(const float* from, int64_t count) { return LoadFirst(from, count); }
inline F32 LoadSomeElements(const Bf16* from, int64_t count) {
  Bf16 elements[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) elements[i] = from[i];
  return LoadElements(elements);
}

// Element `kIndex` of every word as f32; the lower address is the lower half on all machines we build for.
template <class Element, int kIndex>
inline F32 ElementOfWords(F32 words) {
  if constexpr (sizeof(Element) == 4) return words;
  return kIndex == 0 ? (F32)((U32)words << 16) : (F32)((U32)words & 0xffff0000u);
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

// Calls use(i, keys of element i) for every element i of rows of `width` elements, in rising order, where the
// lanes of the vector are `keys` <= kLanes keys and zeros.
template <class Element, class Use>
inline void ForEachElementOfKeys(const void* const* key_rows, int64_t keys, int64_t width, const Use& use) {
  constexpr int kBlock = kLanes * kPerWord<Element>;
  int64_t i = 0;
  if (keys >= kLanes) {
    for (; i + kBlock <= width; i += kBlock) {
      F32 at[kLanes];
#pragma GCC unroll 16
      for (int lane = 0; lane < kLanes; ++lane) {
        __builtin_memcpy(&at[lane], static_cast<const Element*>(key_rows[lane]) + i, sizeof(F32));
      }
      Transpose(at);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) {
        use(i + j * kPerWord<Element>, ElementOfWords<Element, 0>(at[j]));
        if constexpr (kPerWord<Element> == 2) use(i + j * 2 + 1, ElementOfWords<Element, 1>(at[j]));
      }
    }
  }
  for (; i < width; i += kBlock) {
    const int64_t left = width - i < kBlock ? width - i : kBlock;
    F32 at[kLanes] = {};
    for (int64_t lane = 0; lane < kLanes && lane < keys; ++lane) {
      at[lane] = LoadSomeWords(static_cast<const Element*>(key_rows[lane]) + i, left);
    }
    Transpose(at);
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) {
      if (j * kPerWord<Element> < left) use(i + j * kPerWord<Element>, ElementOfWords<Element, 0>(at[j]));
      if constexpr (kPerWord<Element> == 2) {
        if (j * 2 + 1 < left) use(i + j * 2 + 1, ElementOfWords<Element, 1>(at[j]));
      }
    }
  }
}

// -> packed [group of kKeyGroup keys][K][kKeyGroup], the last vector of keys filled up with zeros.
template <class Element>
void PackKeys(const void* const* key_rows, int64_t keys, int64_t width, float* packed) {
  for (int64_t key = 0; key < keys; key += kLanes) {
    float* to = packed + key / kKeyGroup * kKeyGroup * width + key % kKeyGroup;
    ForEachElementOfKeys<Element>(key_rows + key, keys - key, width,
                                  [to](int64_t i, F32 at) { Store(to + i * kKeyGroup, at); });
  }
}

// -> packed [chunk][kKeyTile][lanes of the chunk], each row filled up with zeros to whole vectors.
template <class Element>
void PackValues(const void* const* value_rows, int64_t keys, int64_t width, float* packed) {
  const VectorChunks chunks(width);
  const int64_t whole = width / kLanes;
  for (int64_t key = 0; key < keys; ++key) {
    const Element* from = static_cast<const Element*>(value_rows[key]);
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      const int64_t begin = chunks.begin(chunk), end = chunks.begin(chunk + 1);
      float* to = packed + begin * kLanes * kKeyTile + key * (end - begin) * kLanes;
      for (int64_t v = begin; v < end; ++v, to += kLanes) {
        Store(to, v < whole ? LoadElements(from + v * kLanes)
                            : LoadSomeElements(from + v * kLanes, width - v * kLanes));
      }
    }
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
