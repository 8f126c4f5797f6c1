#include "base/elementwise.h"
#include "ops/activation/activation.h"

namespace emu::EMU_ISA {
namespace {

void ActivateElements(ActivationKind kind, const float* x, Rows elements, float* out) {
  WithActivation(kind, [=](auto act) { MapVectors(x, elements.begin, elements.end, out, act); });
}

}  // namespace

const ActivationKernels activation = {ActivateElements};

}  // namespace emu::EMU_ISA
