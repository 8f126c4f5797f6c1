#include "ops/gated_activation_gradient/gated_activation_gradient.h"

#include "base/call_checks.h"

namespace emu {

Status PlanGatedActivationGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"gate f32[...]", "up f32[...]", "dy f32[...]"}, &sides, 2));
  ActivationKind kind;
  EMU_RETURN_IF_ERROR(ReadActivation(call, &kind));
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, DType::kF32}, 0));
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, DType::kF32}, 1));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = gated_activation_gradient_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(kind, task.in(0), task.in(1), task.in(2), split.rows(task.task, elements), task.out(0),
           task.out(1));
  };
  return {};
}

}  // namespace emu
