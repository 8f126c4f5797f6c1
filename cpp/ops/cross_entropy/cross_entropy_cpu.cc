#include "base/log_sum_exp.h"
#include "base/targets.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace emu::EMU_ISA {
namespace {

void CrossEntropyRows(int64_t width, const float* logits, const int32_t* target, Rows rows, float* out) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (target[row] == kIgnoredTarget) {
      out[row] = 0;
      continue;
    }
    const float* x = logits + row * width;
    const LogSumExp total = RowLogSumExp(x, width);
    out[row] = static_cast<float>((static_cast<double>(total.largest) - x[target[row]]) + total.log_rest);
  }
}

}  // namespace

const CrossEntropyKernels cross_entropy = {CrossEntropyRows};

}  // namespace emu::EMU_ISA
