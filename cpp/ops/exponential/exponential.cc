#include "ops/exponential/exponential.h"

#include "base/call_checks.h"

namespace emu {

Status PlanExponential(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]"}, &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, DType::kF32}));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = exponential_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(task.in(0), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
