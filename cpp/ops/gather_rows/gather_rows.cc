// gatherRows: out[n,:] = x[index[n],:]; x f32[R,D], index i32[N] within 0..R-1, out f32[N,D].
#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {

Status PlanGatherRows(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[R,D]", "index i32[N]"}, &sides));
  const int64_t rows = sides['N'], width = sides['D'], entries = sides['R'];
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{2, {rows, width}}, DType::kF32}));
  const RowSplit split = SplitFloats(rows, width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckIndices("gatherRows", "index", static_cast<const int32_t*>(inputs[1]), rows, 0, entries);
  };
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    GatherRows(width, task.in(0), task.indices(1), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
