// reshape: the memory of x under another shape; x of any dtype. Nothing runs.
#include "base/call_checks.h"

namespace emu {

Status PlanReshape(const CallTypes& call, CallPlan*) {
  EMU_RETURN_IF_ERROR(call.CheckArity(1, 1));
  std::vector<int64_t> wanted;
  EMU_RETURN_IF_ERROR(call.attributes.Integers("shape", &wanted));
  if (wanted.size() > kMaxRank) {
    return RefuseOption(call, "shape", "of " + std::to_string(wanted.size()) + " sides", "at most 8 sides");
  }
  Shape shape;
  int64_t elements = 1;
  bool overflows = false;
  for (int64_t side : wanted) {
    if (side < 0) return RefuseOption(call, "shape", "side " + std::to_string(side), "0 or more");
    shape.sides[shape.rank++] = side;
    overflows |= __builtin_mul_overflow(elements, side, &elements);
  }
  if (overflows || elements != call.shape(0).elements()) {
    return call.Refuse("shape " + ToText(shape) + " has " +
                       (overflows ? "over 2^63" : std::to_string(elements)) + " elements, x has " +
                       std::to_string(call.shape(0).elements()));
  }
  return call.CheckOutput({shape, call.inputs[0]->dtype});
}

}  // namespace emu
