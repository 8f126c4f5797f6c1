// The keys and values of one key head of one slot, in the pages of a cache: what base/attention_tile.h takes
// tiles from. Only cached_attention_cpu.cc includes this.
//
// Within a page the keys of a head lie [K][Z], so that neighbours in memory belong to one element of
// neighbouring keys and scores need no transposing. The values of a head lie [Z][K].
#pragma once

#include "base/attention_pack.h"

namespace emu::EMU_ISA {
namespace {

inline float Widen(float value) { return value; }
inline float Widen(Bf16 value) { return ToFloat(value); }

// Numbers that are loaded and widened together. Two vectors of bf16 from one load take a shift and a mask,
// where one vector takes a shuffle and a shift; of 16 lanes it is one, since two are more keys than a page of
// 16 holds.
inline constexpr int kSpanVectors = kLanes < 16 ? 2 : 1;
inline constexpr int64_t kSpan = kSpanVectors * kLanes;

// kSpan floats. Those of two vectors of bf16 are out of order: the even ones, then the odd ones.
struct Span {
  F32 vectors[2];  // the first kSpanVectors count
};

inline Span LoadSpan(const float* from) {
  Span span = {};
  for (int v = 0; v < kSpanVectors; ++v) span.vectors[v] = Load(from + v * kLanes);
  return span;
}
inline Span LoadSpan(const Bf16* from) {
  if constexpr (kSpanVectors == 1) return {{LoadElements(from)}};
  U32 words;  // the lower address is the lower half on all machines we build for
  __builtin_memcpy(&words, from, sizeof words);
  return {{(F32)(words << 16), (F32)(words & 0xffff0000u)}};
}
inline void StoreSpan(float* to, const Span& span) {
  for (int v = 0; v < kSpanVectors; ++v) Store(to + v * kLanes, span.vectors[v]);
}

template <int... kLane>
inline Span Interleave(F32 even, F32 odd, std::integer_sequence<int, kLane...>) {
  return {{__builtin_shufflevector(even, odd, (kLane / 2 + kLane % 2 * kLanes)...),
           __builtin_shufflevector(even, odd, ((kLanes + kLane) / 2 + kLane % 2 * kLanes)...)}};
}
template <int... kLane>
inline Span Separate(F32 first, F32 second, std::integer_sequence<int, kLane...>) {
  return {{__builtin_shufflevector(first, second, (2 * kLane)...),
           __builtin_shufflevector(first, second, (2 * kLane + 1)...)}};
}

// From the order in which elements are loaded to that in memory, and back.
template <class Element>
inline Span InMemoryOrder(const Span& span) {
  if constexpr (kSpanVectors == 1 || sizeof(Element) == 4) return span;
  return Interleave(span.vectors[0], span.vectors[1], std::make_integer_sequence<int, kLanes>());
}
template <class Element>
inline Span InLoadedOrder(const Span& span) {
  if constexpr (kSpanVectors == 1 || sizeof(Element) == 4) return span;
  return Separate(span.vectors[0], span.vectors[1], std::make_integer_sequence<int, kLanes>());
}

inline void AddProduct(Span& sums, F32 factor, const Span& span) {
  for (int v = 0; v < kSpanVectors; ++v) sums.vectors[v] += factor * span.vectors[v];
}

template <class Element>
struct PagedKeys {
  static constexpr bool kServesRowsAlone = true;

  const Element* keys;  // those of the head in page 0
  const Element* values;
  const int32_t* pages;  // of the slot
  int64_t page_rows;
  int page_shift;         // page_rows is 2 to its power; -1 where it is no power of 2
  int64_t page_elements;  // from one page to the next
  int64_t width;

  // A division takes as long as scoring a few keys.
  int64_t PageOf(int64_t position) const {
    return page_shift >= 0 ? position >> page_shift : position / page_rows;
  }
  int64_t RowInPage(int64_t position) const { return position - PageOf(position) * page_rows; }

  // Element 0 of a key; its other elements lie page_rows apart.
  const Element* KeyAt(int64_t position) const {
    return keys + pages[PageOf(position)] * page_elements + RowInPage(position);
  }
  const Element* ValueAt(int64_t position) const {
    return values + pages[PageOf(position)] * page_elements + RowInPage(position) * width;
  }

  void Pack(const KeyTile& tile, float* packed_keys, float* packed_values) const {
    for (int64_t key = 0; key < tile.count; key += kLanes) {
      PackVector(tile.begin + key, tile.count - key,
                 packed_keys + key / kKeyGroup * kKeyGroup * width + key % kKeyGroup);
    }
    for (int64_t key = 0; key < tile.count; ++key)
      PackValue(ValueAt(tile.begin + key), key, width, packed_values);
  }

  // The vector of `count` keys, at most kLanes of them, from `position` on.
  void PackVector(int64_t position, int64_t count, float* packed) const {
    if (page_rows % kLanes == 0) {
      const Element* from = KeyAt(position);
      for (int64_t i = 0; i < width; ++i) Store(packed + i * kKeyGroup, LoadElements(from + i * page_rows));
      return;
    }
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const Element* from = KeyAt(position + (lane < count ? lane : 0));
      for (int64_t i = 0; i < width; ++i) packed[i * kKeyGroup + lane] = Widen(from[i * page_rows]);
    }
  }

  // Whether no span of keys crosses a page.
  bool ServesOneRow() const { return page_rows % kSpan == 0; }

  // A row alone is served as fast as memory is. Pages lie wherever they happen to, so that no hardware
  // prefetcher sees the next one coming: while keys are scored the values at the same places of their pages
  // are asked for, and while values are added the keys of the next head.

  void Score(const float* query, const KeyTile& tile, float* scores) const {
    const int64_t spans = (tile.count + kSpan - 1) / kSpan;
    int64_t span = 0;
    for (; span + 4 <= spans; span += 4)
      ScoreSpans<4>(query, tile.begin + span * kSpan, scores + span * kSpan);
    for (; span + 2 <= spans; span += 2)
      ScoreSpans<2>(query, tile.begin + span * kSpan, scores + span * kSpan);
    for (; span < spans; ++span) ScoreSpans<1>(query, tile.begin + span * kSpan, scores + span * kSpan);
  }

  // The scores of kCount spans of keys from `position` on.
  template <int kCount>
  void ScoreSpans(const float* query, int64_t position, float* scores) const {
    const Element *from[kCount], *values_of[kCount];
    for (int span = 0; span < kCount; ++span) {
      from[span] = KeyAt(position + span * kSpan);
      values_of[span] = values + (from[span] - keys);
    }
    Span sums[kCount] = {};
    for (int64_t i = 0; i < width; ++i) {
      const F32 factor = Splat(query[i]);
#pragma GCC unroll 4
      for (int span = 0; span < kCount; ++span) {
        AddProduct(sums[span], factor, LoadSpan(from[span] + i * page_rows));
        __builtin_prefetch(values_of[span] + i * page_rows);
      }
    }
    for (int span = 0; span < kCount; ++span)
      StoreSpan(scores + span * kSpan, InMemoryOrder<Element>(sums[span]));
  }

  void AddValues(const float* weights, const KeyTile& tile, float* sums) const {
    int64_t begin = 0;
    for (; begin + 4 * kSpan <= width; begin += 4 * kSpan) AddSpans<4>(weights, tile, begin, sums + begin);
    for (; begin + 2 * kSpan <= width; begin += 2 * kSpan) AddSpans<2>(weights, tile, begin, sums + begin);
    for (; begin + kSpan <= width; begin += kSpan) AddSpans<1>(weights, tile, begin, sums + begin);
    for (; begin < width; begin += kLanes) AddVector(weights, tile, begin, sums + begin);
  }

  // Elements begin..begin+kCount*kSpan-1 of all values.
  template <int kCount>
  void AddSpans(const float* weights, const KeyTile& tile, int64_t begin, float* sums) const {
    const Element* next_keys = keys + page_rows * width;
    Span at[kCount];
    for (int span = 0; span < kCount; ++span)
      at[span] = InLoadedOrder<Element>(LoadSpan(sums + span * kSpan));
    ForEachValue(tile, [&](int64_t key, const Element* value) {
      const F32 weight = Splat(weights[key]);
#pragma GCC unroll 4
      for (int span = 0; span < kCount; ++span) {
        AddProduct(at[span], weight, LoadSpan(value + begin + span * kSpan));
        __builtin_prefetch(next_keys + (value - values) + begin + span * kSpan);
      }
    });
    for (int span = 0; span < kCount; ++span)
      StoreSpan(sums + span * kSpan, InMemoryOrder<Element>(at[span]));
  }

  // Elements from `begin` on, at most kLanes of them.
  void AddVector(const float* weights, const KeyTile& tile, int64_t begin, float* sums) const {
    F32 at = Load(sums);
    const int64_t count = width - begin;
    ForEachValue(tile, [&](int64_t key, const Element* value) {
      const Element* from = value + begin;
      at += Splat(weights[key]) * (count >= kLanes ? LoadElements(from) : LoadSomeElements(from, count));
    });
    Store(sums, at);
  }

  // Calls use(key of the tile, its value), page by page.
  template <class Use>
  void ForEachValue(const KeyTile& tile, const Use& use) const {
    for (int64_t key = 0; key < tile.count;) {
      const Element* value = ValueAt(tile.begin + key);
      const int64_t in_page = page_rows - RowInPage(tile.begin + key);
      const int64_t end = key + (in_page < tile.count - key ? in_page : tile.count - key);
      for (; key < end; ++key, value += width) use(key, value);
    }
  }
};

}  // namespace
}  // namespace emu::EMU_ISA
