#include "base/elementwise.h"
#include "ops/exponential/exponential.h"

namespace emu::EMU_ISA {
namespace {

void ExponentialElements(const float* x, Rows elements, float* out) {
  MapVectors(x, elements.begin, elements.end, out, [](F32 value) { return Exp(value); });
}

}  // namespace

const ExponentialKernels exponential = {ExponentialElements};

}  // namespace emu::EMU_ISA
