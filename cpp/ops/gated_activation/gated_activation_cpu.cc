#include "base/elementwise.h"
#include "ops/gated_activation/gated_activation.h"

namespace emu::EMU_ISA {
namespace {

void GateElements(ActivationKind kind, const float* gate, const float* up, Rows elements, float* out) {
  WithActivation(kind, [=](auto act) {
    MapVectors(gate, up, elements.begin, elements.end, out, [=](F32 g, F32 u) { return act(g) * u; });
  });
}

}  // namespace

const GatedActivationKernels gated_activation = {GateElements};

}  // namespace emu::EMU_ISA
