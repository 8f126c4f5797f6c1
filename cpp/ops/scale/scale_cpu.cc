#include "base/elementwise.h"
#include "ops/scale/scale.h"

namespace emu::EMU_ISA {
namespace {

void ScaleElements(float factor, float offset, const float* x, Rows elements, float* out) {
  MapVectors(x, elements.begin, elements.end, out, [=](F32 value) { return value * factor + offset; });
}

}  // namespace

const ScaleKernels scale = {ScaleElements};

}  // namespace emu::EMU_ISA
