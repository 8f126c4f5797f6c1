#include "ops/squared_error/squared_error.h"

#include "base/call_checks.h"

namespace emu {

Status PlanSquaredError(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"prediction f32[R,D]", "target f32[R,D]"}, &sides));
  const int64_t rows = sides['R'], width = sides['D'];
  if (width == 0) return call.Refuse("a mean needs at least one element in a row");
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{1, {rows}}, DType::kF32}));
  const RowSplit split = SplitFloats(rows, width, call.threads);
  const auto kernel = squared_error_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(width, task.in(0), task.in(1), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
