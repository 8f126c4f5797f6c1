#include "ops/cross_entropy_gradient/cross_entropy_gradient.h"

#include "base/call_checks.h"
#include "base/targets.h"

namespace emu {

Status PlanCrossEntropyGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"logits f32[R,V]", "target i32[R]", "dy f32[R]"}, &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  const int64_t rows = sides['R'], width = sides['V'];
  const RowSplit split = SplitFloats(rows, width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckTargets("crossEntropyGradient", static_cast<const int32_t*>(inputs[1]), rows, width);
  };
  const auto kernel = cross_entropy_gradient_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(width, task.in(0), task.indices(1), task.in(2), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
