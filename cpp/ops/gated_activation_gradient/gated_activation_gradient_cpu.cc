#include "base/activation_derivative.h"
#include "ops/gated_activation_gradient/gated_activation_gradient.h"

namespace emu::EMU_ISA {
namespace {

struct Slopes {
  F32 gate, up;
};

template <ActivationKind kKind>
inline Slopes SlopesOf(F32 gate, F32 up, F32 dy) {
  return {dy * up * ActivationDerivative(kKind, gate), dy * Activate(kKind, gate)};
}

template <ActivationKind kKind>
inline void Gradients(const float* gate, const float* up, const float* dy, Rows elements, float* d_gate,
                      float* d_up) {
  int64_t i = elements.begin;
  for (; i + kLanes <= elements.end; i += kLanes) {
    const Slopes slopes = SlopesOf<kKind>(Load(gate + i), Load(up + i), Load(dy + i));
    Store(d_gate + i, slopes.gate);
    Store(d_up + i, slopes.up);
  }
  if (i < elements.end) {
    const int64_t rest = elements.end - i;
    const Slopes slopes =
        SlopesOf<kKind>(LoadFirst(gate + i, rest), LoadFirst(up + i, rest), LoadFirst(dy + i, rest));
    StoreFirst(d_gate + i, slopes.gate, rest);
    StoreFirst(d_up + i, slopes.up, rest);
  }
}

void GradientElements(ActivationKind kind, const float* gate, const float* up, const float* dy, Rows elements,
                      float* d_gate, float* d_up) {
  switch (kind) {
    case ActivationKind::kNone:
      return Gradients<ActivationKind::kNone>(gate, up, dy, elements, d_gate, d_up);
    case ActivationKind::kGelu:
      return Gradients<ActivationKind::kGelu>(gate, up, dy, elements, d_gate, d_up);
    case ActivationKind::kQuickGelu:
      return Gradients<ActivationKind::kQuickGelu>(gate, up, dy, elements, d_gate, d_up);
    case ActivationKind::kRelu:
      return Gradients<ActivationKind::kRelu>(gate, up, dy, elements, d_gate, d_up);
    case ActivationKind::kSilu:
      return Gradients<ActivationKind::kSilu>(gate, up, dy, elements, d_gate, d_up);
  }
}

}  // namespace

const GatedActivationGradientKernels gated_activation_gradient = {GradientElements};

}  // namespace emu::EMU_ISA
