// Loops over elements for *_cpu.cc files.
#pragma once

#include "base/vector_math.h"

namespace emu::EMU_ISA {
namespace {

// out[i] = body(x[i]) for begin <= i < end, by vectors.
template <typename Body>
inline void MapVectors(const float* x, int64_t begin, int64_t end, float* out, Body body) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) Store(out + i, body(Load(x + i)));
  if (i < end) StoreFirst(out + i, body(LoadFirst(x + i, end - i)), end - i);
}

// out[i] = body(a[i], b[i]).
template <typename Body>
inline void MapVectors(const float* a, const float* b, int64_t begin, int64_t end, float* out, Body body) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) Store(out + i, body(Load(a + i), Load(b + i)));
  if (i < end) {
    const int64_t rest = end - i;
    StoreFirst(out + i, body(LoadFirst(a + i, rest), LoadFirst(b + i, rest)), rest);
  }
}

template <ActivationKind kKind>
struct FixedActivation {
  F32 operator()(F32 x) const { return Activate(kKind, x); }
};

// Calls body(function) with the activation as a function known at compile time, so that loops do not choose.
template <typename Body>
inline void WithActivation(ActivationKind kind, Body body) {
  switch (kind) {
    case ActivationKind::kNone:
      return body(FixedActivation<ActivationKind::kNone>());
    case ActivationKind::kGelu:
      return body(FixedActivation<ActivationKind::kGelu>());
    case ActivationKind::kQuickGelu:
      return body(FixedActivation<ActivationKind::kQuickGelu>());
    case ActivationKind::kRelu:
      return body(FixedActivation<ActivationKind::kRelu>());
    case ActivationKind::kSilu:
      return body(FixedActivation<ActivationKind::kSilu>());
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
