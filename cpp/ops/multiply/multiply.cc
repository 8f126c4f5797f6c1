#include "ops/multiply/multiply.h"

namespace emu {

Status PlanMultiply(const CallTypes& call, CallPlan* plan) {
  return PlanBroadcastOp(call, multiply_for(call.isa).elements, plan);
}

}  // namespace emu
