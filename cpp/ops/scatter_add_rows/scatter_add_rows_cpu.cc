#include "base/elementwise.h"
#include "ops/scatter_add_rows/scatter_add_rows.h"

namespace emu::EMU_ISA {
namespace {

void SumTargets(int64_t width, const float* rows, const int64_t* starts, const int64_t* order, Rows targets,
                float* out) {
  for (int64_t target = targets.begin; target < targets.end; ++target) {
    float* sum = out + target * width;
    const int64_t begin = starts[target], end = starts[target + 1];
    if (begin == end) {
      __builtin_memset(sum, 0, static_cast<size_t>(width) * sizeof(float));
      continue;
    }
    __builtin_memcpy(sum, rows + order[begin] * width, static_cast<size_t>(width) * sizeof(float));
    for (int64_t at = begin + 1; at < end; ++at) {
      MapVectors(sum, rows + order[at] * width, 0, width, sum, [](F32 a, F32 b) { return a + b; });
    }
  }
}

}  // namespace

const ScatterAddRowsKernels scatter_add_rows = {SumTargets};

}  // namespace emu::EMU_ISA
