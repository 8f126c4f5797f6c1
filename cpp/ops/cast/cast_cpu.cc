#include "base/convert_row.h"
#include "ops/cast/cast.h"

namespace emu::EMU_ISA {
namespace {

void Widen(const Bf16* x, Rows elements, float* out) {
  WidenRow(x + elements.begin, elements.end - elements.begin, out + elements.begin);
}

void Round(const float* x, Rows elements, Bf16* out) {
  RoundRow(x + elements.begin, elements.end - elements.begin, out + elements.begin);
}

}  // namespace

const CastKernels cast = {Widen, Round};

}  // namespace emu::EMU_ISA
