#include "base/simd.h"
#include "ops/adamw/adamw.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace emu::EMU_ISA {
namespace {

inline F32 SquareRoot(F32 x) {
#if defined(__AVX512F__)
  return (F32)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__AVX2__)
  return (F32)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (F32)_mm_sqrt_ps((__m128)x);
#else
  for (int lane = 0; lane < kLanes; ++lane) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
#endif
}

// A product that is rounded before anything is added to it: PyTorch stores it in between.
inline F32 Rounded(F32 product) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(product));
#elif defined(__SSE2__)
  __asm__("" : "+x"(product));
#elif defined(__aarch64__)
  __asm__("" : "+w"(product));
#endif
  return product;
}

struct Element {
  F32 parameter, moment1, moment2;
};

inline Element Step(const AdamwStep& step, F32 gradient, Element old) {
  const F32 g = Rounded(gradient * step.gradient_scale);
  Element next;
  // As torch.lerp, which begins at the nearer end.
  next.moment1 = step.one_minus_beta1 < 0.5f ? old.moment1 + step.one_minus_beta1 * (g - old.moment1)
                                             : g - (g - old.moment1) * (1.0f - step.one_minus_beta1);
  next.moment2 = Rounded(old.moment2 * step.beta2) + step.one_minus_beta2 * g * g;
  const F32 denominator = SquareRoot(next.moment2) / step.root_correction + step.epsilon;
  next.parameter = Rounded(old.parameter * step.decay) - step.step_size * next.moment1 / denominator;
  return next;
}

void StepElements(const AdamwStep& step, const float* gradient, Rows elements, float* parameter,
                  float* moment1, float* moment2) {
  int64_t i = elements.begin;
  for (; i + kLanes <= elements.end; i += kLanes) {
    const Element next =
        Step(step, Load(gradient + i), {Load(parameter + i), Load(moment1 + i), Load(moment2 + i)});
    Store(parameter + i, next.parameter);
    Store(moment1 + i, next.moment1);
    Store(moment2 + i, next.moment2);
  }
  if (i < elements.end) {
    const int64_t rest = elements.end - i;
    const Element next =
        Step(step, LoadFirst(gradient + i, rest),
             {LoadFirst(parameter + i, rest), LoadFirst(moment1 + i, rest), LoadFirst(moment2 + i, rest)});
    StoreFirst(parameter + i, next.parameter, rest);
    StoreFirst(moment1 + i, next.moment1, rest);
    StoreFirst(moment2 + i, next.moment2, rest);
  }
}

}  // namespace

const AdamwKernels adamw = {StepElements};

}  // namespace emu::EMU_ISA
