// replaceRowsGradient: row n of the result is row target[n] of dy, or zeros where target[n] is -1 or the
// target of a later row as well. dy f32[R,D], target i32[N] within -1..R-1, out f32[N,D].
#include <algorithm>

#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {

Status PlanReplaceRowsGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"dy f32[R,D]", "target i32[N]"}, &sides));
  const int64_t total = sides['R'], width = sides['D'], replacements = sides['N'];
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{2, {replacements, width}}, DType::kF32}));
  const RowSplit split = SplitFloats(replacements, width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckIndices("replaceRowsGradient", "target", static_cast<const int32_t*>(inputs[1]), replacements,
                        -1, total);
  };
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    const Rows rows = split.rows(task.task, replacements);
    const int32_t* target = task.indices(1);
    for (int64_t n = rows.begin; n < rows.end; ++n) {
      float* out = task.out() + n * width;
      // A look at the later targets costs less than the copy of a row, and needs no memory.
      const bool taken = std::find(target + n + 1, target + replacements, target[n]) != target + replacements;
      if (target[n] < 0 || taken) {
        std::fill(out, out + width, 0.0f);
      } else {
        CopyFloats(task.in(0) + target[n] * width, width, out);
      }
    }
  };
  return {};
}

}  // namespace emu
