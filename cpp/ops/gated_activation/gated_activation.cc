#include "ops/gated_activation/gated_activation.h"

#include "base/call_checks.h"

namespace emu {

Status PlanGatedActivation(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"gate f32[...,F]", "up f32[...,F]"}, &sides));
  ActivationKind kind;
  EMU_RETURN_IF_ERROR(ReadActivation(call, &kind));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  const int64_t elements = call.shape(0).elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = gated_activation_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(kind, task.in(0), task.in(1), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
