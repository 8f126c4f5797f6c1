#include "ops/activation_gradient/activation_gradient.h"

#include "base/call_checks.h"

namespace emu {

Status PlanActivationGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]", "dy f32[...]"}, &sides));
  ActivationKind kind;
  EMU_RETURN_IF_ERROR(ReadActivation(call, &kind));
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, DType::kF32}));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = activation_gradient_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(kind, task.in(0), task.in(1), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
