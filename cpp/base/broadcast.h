// How b broadcasts to a: aligned at the right, each side of b equal to a's or 1.
#pragma once

#include <cstdint>

#include "base/op.h"

namespace emu {

// Neighbouring axes that b repeats, or has in full, are merged, so that most calls have one or two axes left.
// Always at least one axis; b_strides are in elements, 0 where b repeats, and the last is 0 or 1.
struct BroadcastShape {
  int axes;
  int64_t sides[kMaxRank];
  int64_t b_strides[kMaxRank];
};

// Checks the inputs (a f32, b f32), that b broadcasts to a and that the output has a's type.
Status PlanBroadcast(const CallTypes& call, BroadcastShape* shape);

// A kernel of such an op: elements begin..end-1 of a.
using BroadcastKernel = void (*)(const BroadcastShape& shape, const float* a, const float* b, Rows elements,
                                 float* out);
// The whole planner of such an op.
Status PlanBroadcastOp(const CallTypes& call, BroadcastKernel kernel, CallPlan* plan);

}  // namespace emu
