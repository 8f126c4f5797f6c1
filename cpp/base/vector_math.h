// exp, erf, sigmoid and the activations over vectors. Only *_cpu.cc files include this.
//
// The polynomials are minimax fits (weighted as noted) rounded to f32. Every function maps NaN to NaN and has
// no branch, so a lane's result depends on that lane alone.
#pragma once

#include "base/activation.h"
#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

[[maybe_unused]] inline F32 Absolute(F32 x) { return (F32)((U32)x & 0x7fffffffu); }

// e^x = 2^n e^r: n rounded to an integer, in the low bits of `shifted`, and e^r.
//   n = round(x / ln 2),  r = x - n ln 2 in two parts,  e^r = 1 + r + r² p(r)
struct SplitExponential {
  F32 shifted;
  F32 rest;
};
[[maybe_unused]] inline SplitExponential SplitExp(F32 x) {
  // Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
  const F32 shifted = x * 1.44269504f + 12582912.0f;
  const F32 n = shifted - 12582912.0f;
  // 0.693359375 has nine bits, so n times it is exact.
  const F32 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  F32 p = Splat(1.38131e-3f);
  p = p * r + 8.36942e-3f;
  p = p * r + 4.166846e-2f;
  p = p * r + 1.6666515e-1f;
  p = p * r + 4.9999994e-1f;
  return {shifted, (p * r) * r + r + 1.0f};
}

// e^x to about 1 ulp, subnormal results included; 0 below -104, inf above 88.73. 2^n is made of two factors.
[[maybe_unused]] inline F32 Exp(F32 x) {
  x = x < -105.0f ? Splat(-105.0f) : x;
  x = x > 90.0f ? Splat(90.0f) : x;
  const SplitExponential split = SplitExp(x);
  const I32 exponent = (I32)split.shifted - 0x4b400000;
  const I32 half = exponent >> 1;
  const F32 first = (F32)((U32)(half + 127) << 23);
  const F32 second = (F32)((U32)(exponent - half + 127) << 23);
  return split.rest * first * second;
}

// The same for -87 <= x <= 0, where no step needs care.
[[maybe_unused]] inline F32 ExpOfModest(F32 x) {
  const SplitExponential split = SplitExp(x);
  // Adds n to the exponent: the low bits of `shifted` hold it, and those of the constant shift out.
  return (F32)((U32)split.rest + ((U32)split.shifted << 23));
}

// The error function, absolute error below 1.5e-7.
//   |x| < 1: x p(x²);  else 1 - e^q(|x|), where q fits log(1 - erf) on 1..4.1 (erf is 1 in f32 from 3.9 on).
[[maybe_unused]] inline F32 Erf(F32 x) {
  const F32 square = x * x;
  F32 p = Splat(7.8535195e-5f);
  p = p * square - 8.0100814e-4f;
  p = p * square + 5.1883133e-3f;
  p = p * square - 2.6853804e-2f;
  p = p * square + 1.1283585e-1f;
  p = p * square - 3.7612626e-1f;
  p = p * square + 1.1283791f;
  const F32 magnitude = Absolute(x);
  const F32 a = magnitude > 4.1f ? Splat(4.1f) : magnitude;
  F32 q = Splat(1.85574012e-4f);
  q = q * a - 2.93960725e-3f;
  q = q * a + 2.18053181e-2f;
  q = q * a - 1.03037365e-1f;
  q = q * a - 6.38225675e-1f;
  q = q * a - 1.12704003f;
  q = q * a - 3.53719573e-4f;
  const U32 sign = (U32)x & 0x80000000u;
  const F32 tail = (F32)((U32)(1.0f - ExpOfModest(q)) | sign);
  return magnitude < 1.0f ? x * p : (x != x ? x : tail);
}

// 1 / (1 + e^-x).
[[maybe_unused]] inline F32 Sigmoid(F32 x) { return 1.0f / (1.0f + Exp(-x)); }

// gelu is the exact form, x (1 + erf(x / sqrt 2)) / 2; quickGelu is x sigmoid(1.702 x).
[[maybe_unused]] inline F32 Activate(ActivationKind kind, F32 x) {
  switch (kind) {
    case ActivationKind::kGelu:
      return x * 0.5f * (1.0f + Erf(x * 0.70710678f));
    case ActivationKind::kQuickGelu:
      return x / (1.0f + Exp(x * -1.702f));
    case ActivationKind::kRelu:
      return x <= 0.0f ? F32{} : x;
    case ActivationKind::kSilu:
      return x / (1.0f + Exp(-x));
    default:
      return x;
  }
}

}  // namespace
}  // namespace emu::EMU_ISA
