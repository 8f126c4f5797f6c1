#include "ops/log_softmax_gradient/log_softmax_gradient.h"

#include "base/call_checks.h"

namespace emu {

Status PlanLogSoftmaxGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"y f32[...,V]", "dy f32[...,V]"}, &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  const int64_t rows = sides.rest.elements(), width = sides['V'];
  const RowSplit split = SplitFloats(rows, width, call.threads);
  const auto kernel = log_softmax_gradient_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(width, task.in(0), task.in(1), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
