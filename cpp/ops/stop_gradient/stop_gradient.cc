// stopGradient: the memory of x, of any dtype. Nothing runs; only the gradient of a program sees it.
#include "base/call_checks.h"

namespace emu {

Status PlanStopGradient(const CallTypes& call, CallPlan*) {
  EMU_RETURN_IF_ERROR(call.CheckArity(1, 1));
  return call.CheckOutput(*call.inputs[0]);
}

}  // namespace emu
