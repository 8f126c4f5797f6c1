#include "ops/add/add.h"

namespace emu {

Status PlanAdd(const CallTypes& call, CallPlan* plan) {
  return PlanBroadcastOp(call, add_for(call.isa).elements, plan);
}

}  // namespace emu
