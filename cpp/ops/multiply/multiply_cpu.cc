#include "base/broadcast_loop.h"
#include "ops/multiply/multiply.h"

namespace emu::EMU_ISA {
namespace {

void MultiplyElements(const BroadcastShape& shape, const float* a, const float* b, Rows elements,
                      float* out) {
  MapBroadcast(shape, a, b, elements, out, [](F32 x, F32 y) { return x * y; });
}

}  // namespace

const MultiplyKernels multiply = {MultiplyElements};

}  // namespace emu::EMU_ISA
