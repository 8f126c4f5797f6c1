#include "ops/embedding/embedding.h"

#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {

Status PlanEmbedding(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"table f32|bf16[V,D]", "ids i32[...]"}, &sides));
  if (sides.rest.rank == kMaxRank) return call.Refuse("ids have 8 axes, at most 7 fit");
  EMU_RETURN_IF_ERROR(call.CheckOutput({WithLast(sides.rest, sides['D']), DType::kF32}));
  const int64_t rows = sides.rest.elements(), width = sides['D'], entries = sides['V'];
  const RowSplit split = SplitFloats(rows, width, call.threads);
  plan->check = [=](void* const* inputs) {
    return CheckIndices("embedding", "id", static_cast<const int32_t*>(inputs[1]), rows, 0, entries);
  };
  plan->phase_tasks = {split.tasks};
  if (call.inputs[0]->dtype == DType::kF32) {
    plan->run = [=](const TaskContext& task) {
      GatherRows(width, task.in(0), task.indices(1), split.rows(task.task, rows), task.out());
    };
  } else {
    plan->run = [=, kernel = embedding_for(call.isa).bf16_rows](const TaskContext& task) {
      kernel(width, static_cast<const Bf16*>(task.inputs[0]), task.indices(1), split.rows(task.task, rows),
             task.out());
    };
  }
  return {};
}

}  // namespace emu
