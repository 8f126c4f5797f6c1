#include "ops/cross_entropy/cross_entropy.h"

#include "base/call_checks.h"

namespace emu {
namespace {

Status CheckTargets(const int32_t* target, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
    if (target[row] == kIgnoredTarget || (target[row] >= 0 && target[row] < width)) continue;
    return Status(Code::kInvalidOption, "[crossEntropy] target " + std::to_string(target[row]) + " at row " +
                                            std::to_string(row) + " is not in 0.." +
                                            std::to_string(width - 1));
  }
  return {};
}

}  // namespace

Status PlanCrossEntropy(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"logits f32[R,V]", "target i32[R]"}, &sides));
  const int64_t rows = sides['R'], width = sides['V'];
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{1, {rows}}, DType::kF32}));
  // An empty row still has a result, so a width of 0 counts as 1 here.
  const RowSplit split = SplitFloats(rows, width == 0 ? 1 : width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckTargets(static_cast<const int32_t*>(inputs[1]), rows, width);
  };
  const auto kernel = cross_entropy_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(width, task.in(0), task.indices(1), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
