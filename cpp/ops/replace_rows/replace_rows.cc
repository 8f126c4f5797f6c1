// replaceRows: a copy of x in which row target[n] is rows[n]; target -1 is left out, of equal targets the
// last stays. x, out f32[R,D], rows f32[N,D], target i32[N] within -1..R-1.
#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {

Status PlanReplaceRows(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[R,D]", "rows f32[N,D]", "target i32[N]"}, &sides));
  const int64_t total = sides['R'], width = sides['D'], replacements = sides['N'];
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  const RowSplit split = SplitFloats(total, width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckIndices("replaceRows", "target", static_cast<const int32_t*>(inputs[2]), replacements, -1,
                        total);
  };
  plan->phase_tasks = {split.tasks};
  // A task owns rows of the output and looks for them among all targets; a few tasks per thread make that
  // cheap.
  plan->run = [=](const TaskContext& task) {
    const Rows rows = split.rows(task.task, total);
    CopyFloats(task.in(0) + rows.begin * width, (rows.end - rows.begin) * width,
               task.out() + rows.begin * width);
    const int32_t* target = task.indices(2);
    for (int64_t n = 0; n < replacements; ++n) {
      if (target[n] < rows.begin || target[n] >= rows.end) continue;
      CopyFloats(task.in(1) + n * width, width, task.out() + target[n] * width);
    }
  };
  return {};
}

}  // namespace emu
