#include "base/elementwise.h"
#include "base/row_moments.h"
#include "ops/log_softmax_gradient/log_softmax_gradient.h"

namespace emu::EMU_ISA {
namespace {

void LogSoftmaxGradientRows(int64_t width, const float* y, const float* dy, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t at = row * width;
    const float sum = Sum(dy + at, width);
    MapVectors(y + at, dy + at, 0, width, out + at,
               [=](F32 log_share, F32 error) { return error - Exp(log_share) * sum; });
  }
}

}  // namespace

const LogSoftmaxGradientKernels log_softmax_gradient = {LogSoftmaxGradientRows};

}  // namespace emu::EMU_ISA
