#include "ops/cross_entropy/cross_entropy.h"

#include "base/call_checks.h"
#include "base/targets.h"

namespace emu {

Status PlanCrossEntropy(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"logits f32[R,V]", "target i32[R]"}, &sides));
  const int64_t rows = sides['R'], width = sides['V'];
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{1, {rows}}, DType::kF32}));
  // An empty row still has a result, so a width of 0 counts as 1 here.
  const RowSplit split = SplitFloats(rows, width == 0 ? 1 : width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckTargets("crossEntropy", static_cast<const int32_t*>(inputs[1]), rows, width);
  };
  const auto kernel = cross_entropy_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(width, task.in(0), task.indices(1), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
