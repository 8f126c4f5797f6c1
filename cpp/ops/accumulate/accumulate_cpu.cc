#include "base/elementwise.h"
#include "ops/accumulate/accumulate.h"

namespace emu::EMU_ISA {
namespace {

void AccumulateElements(float keep, float factor, const float* x, Rows elements, float* state) {
  if (keep == 0.0f) {
    MapVectors(x, elements.begin, elements.end, state, [=](F32 value) { return value * factor; });
  } else {
    MapVectors(state, x, elements.begin, elements.end, state,
               [=](F32 old, F32 value) { return old * keep + value * factor; });
  }
}

}  // namespace

const AccumulateKernels accumulate = {AccumulateElements};

}  // namespace emu::EMU_ISA
