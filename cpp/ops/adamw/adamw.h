// adamw: one step of AdamW (Loshchilov and Hutter 2019) in the order of operations of torch.optim.AdamW:
//   g = gradient * gradient_scale,  p = p * decay,  m1 = m1 + (1 - beta1) (g - m1),  m2 = beta2 m2 + (1 -
//   beta2) g², p = p - step_size m1 / (sqrt(m2) / root_correction + epsilon).
//
// parameter, moment1, moment2 f32 of one shape, updated in place; they overlap nothing. gradient f32 of that
// shape. An element's result depends on that element alone. Where the instruction set has a fused
// multiply-add the moments are bit for bit those of PyTorch on the CPU, and the parameter is within 1 ulp of
// a step, because the two corrections come as f32. Thread-safe; no scratch.
#pragma once

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

// Computed in double precision from the f32 numbers of the input `hyper`, then rounded, as PyTorch does.
struct AdamwStep {
  float gradient_scale;
  float decay;  // 1 - learning rate * weight decay
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float root_correction;  // sqrt(1 - beta2^t)
  float epsilon;
  float step_size;  // learning rate / (1 - beta1^t)
};

struct AdamwKernels {
  void (*elements)(const AdamwStep& step, const float* gradient, Rows elements, float* parameter,
                   float* moment1, float* moment2);
};

EMU_DECLARE_KERNELS(AdamwKernels, adamw)

}  // namespace emu
