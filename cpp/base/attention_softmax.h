// One step of the online softmax for one query row. Only *_cpu.cc files include this.
#pragma once

#include "base/attention_exponential.h"
#include "base/attention_pack.h"

namespace emu::EMU_ISA {
namespace {

// Multiplies `count` vectors. Apart from the loops that add, so that no compiler fuses this product into a
// sum.
__attribute__((noinline)) void ScaleVectors(float* at, int64_t count, float factor) {
  for (int64_t v = 0; v < count; ++v) Store(at + v * kLanes, Load(at + v * kLanes) * factor);
}

// State of one row: m and the lanes of l of base/attention_tile.h, and o as `vectors` vectors.
struct SoftmaxRow {
  float* largest;
  F32* totals;
  float* sums;
  int64_t vectors;
};

// Turns the scores of one row and tile into weights, `padded` of them, +0 from key `seen` on, and brings the
// row's state to the new largest score. bias holds `seen` numbers or is null.
__attribute__((noinline)) void SoftmaxTile(float* scores, const float* bias, int64_t seen, int64_t padded,
                                           const SoftmaxRow& row) {
  const int64_t whole = seen / kLanes * kLanes, rest = seen - whole;
  if (bias != nullptr) {
    for (int64_t key = 0; key < whole; key += kLanes)
      Store(scores + key, Load(scores + key) + Load(bias + key));
    if (rest > 0) Store(scores + whole, Load(scores + whole) + LoadSomeElements(bias + whole, rest));
  }
  if (rest > 0) {
    const I32 numbers = LaneNumbers(std::make_integer_sequence<int, kLanes>());
    Store(scores + whole, numbers < static_cast<int32_t>(rest) ? Load(scores + whole) : Splat(kLowest));
  }
  F32 most = Splat(kLowest);
  for (int64_t key = 0; key < seen; key += kLanes) {
    const F32 score = Load(scores + key);
    most = score > most ? score : most;
  }
  const float before = *row.largest, in_tile = MaxLanes(most);
  const float after = in_tile > before ? in_tile : before;
  if (after > before) {
    *row.largest = after;
    if (before > kLowest) {
      const float factor = ExpOfNonPositive(Splat(before - after))[0];
      *row.totals *= factor;
      ScaleVectors(row.sums, row.vectors, factor);
    }
  }
  const float shift = after > kLowest ? after : 0;  // every score -infinity: all weights are 0
  F32 total = *row.totals;
  int64_t key = 0;
  for (; key < seen; key += kLanes) {
    const F32 weight = ExpOfNonPositive(Load(scores + key) - shift);
    Store(scores + key, weight);
    total += weight;
  }
  *row.totals = total;
  for (; key < padded; key += kLanes) Store(scores + key, F32{});
}

}  // namespace
}  // namespace emu::EMU_ISA
