#include "base/elementwise.h"
#include "base/log_sum_exp.h"
#include "ops/log_softmax/log_softmax.h"

namespace emu::EMU_ISA {
namespace {

void LogSoftmaxRows(int64_t width, const float* x, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const LogSumExp total = RowLogSumExp(x + row * width, width);
    const float largest = total.largest, log_rest = static_cast<float>(total.log_rest);
    MapVectors(x + row * width, 0, width, out + row * width,
               [=](F32 value) { return (value - largest) - log_rest; });
  }
}

}  // namespace

const LogSoftmaxKernels log_softmax = {LogSoftmaxRows};

}  // namespace emu::EMU_ISA
