#include "base/activation_derivative.h"
#include "ops/activation_gradient/activation_gradient.h"

namespace emu::EMU_ISA {
namespace {

void GradientElements(ActivationKind kind, const float* x, const float* dy, Rows elements, float* out) {
  WithDerivative(kind, [=](auto derivative) {
    MapVectors(x, dy, elements.begin, elements.end, out,
               [=](F32 value, F32 slope) { return derivative(value) * slope; });
  });
}

}  // namespace

const ActivationGradientKernels activation_gradient = {GradientElements};

}  // namespace emu::EMU_ISA
