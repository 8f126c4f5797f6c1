// Derivatives of the activations over vectors. Only *_cpu.cc files include this.
#pragma once

#include "base/elementwise.h"

namespace emu::EMU_ISA {
namespace {

// act'(x) to about 5e-7; relu's is 0 at 0. With s the sigmoid, silu' = s (1 + x (1 - s)) and quickGelu alike
// with 1.702 x; gelu' = (1 + erf(x / sqrt 2)) / 2 + x e^(-x²/2) / sqrt(2 pi).
[[maybe_unused]] inline F32 ActivationDerivative(ActivationKind kind, F32 x) {
  switch (kind) {
    case ActivationKind::kGelu:
      return 0.5f * (1.0f + Erf(x * 0.70710678f)) + x * 0.39894228f * Exp(x * x * -0.5f);
    case ActivationKind::kQuickGelu: {
      const F32 scaled = x * 1.702f, sigmoid = Sigmoid(scaled);
      return sigmoid * (1.0f + scaled * (1.0f - sigmoid));
    }
    case ActivationKind::kRelu:
      return x > 0.0f ? Splat(1.0f) : (x != x ? x : F32{});
    case ActivationKind::kSilu: {
      const F32 sigmoid = Sigmoid(x);
      return sigmoid * (1.0f + x * (1.0f - sigmoid));
    }
    default:
      return Splat(1.0f);
  }
}

template <ActivationKind kKind>
struct FixedDerivative {
  F32 operator()(F32 x) const { return ActivationDerivative(kKind, x); }
};

// Calls body(function) with the derivative as a function known at compile time.
template <typename Body>
inline void WithDerivative(ActivationKind kind, Body body) {
  switch (kind) {
    case ActivationKind::kNone:
      return body(FixedDerivative<ActivationKind::kNone>());
    case ActivationKind::kGelu:
      return body(FixedDerivative<ActivationKind::kGelu>());
    case ActivationKind::kQuickGelu:
      return body(FixedDerivative<ActivationKind::kQuickGelu>());
    case ActivationKind::kRelu:
      return body(FixedDerivative<ActivationKind::kRelu>());
    case ActivationKind::kSilu:
      return body(FixedDerivative<ActivationKind::kSilu>());
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
