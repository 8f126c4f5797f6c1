#include "base/broadcast_loop.h"
#include "ops/add/add.h"

namespace emu::EMU_ISA {
namespace {

void AddElements(const BroadcastShape& shape, const float* a, const float* b, Rows elements, float* out) {
  MapBroadcast(shape, a, b, elements, out, [](F32 x, F32 y) { return x + y; });
}

}  // namespace

const AddKernels add = {AddElements};

}  // namespace emu::EMU_ISA
