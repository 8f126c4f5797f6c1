#include "ops/scatter_add_rows/scatter_add_rows.h"

#include <cstring>

#include "base/call_checks.h"

namespace emu {
namespace {

// Counting sort, which keeps rows of one target in order. starts [count + 1], order [rows].
void SortByTarget(const int32_t* index, int64_t rows, int64_t count, int64_t* starts, int64_t* order) {
  std::memset(starts, 0, static_cast<size_t>(count + 1) * sizeof(int64_t));
  for (int64_t n = 0; n < rows; ++n) {
    if (index[n] >= 0) ++starts[index[n] + 1];
  }
  for (int64_t target = 0; target < count; ++target) starts[target + 1] += starts[target];
  for (int64_t n = 0; n < rows; ++n) {
    if (index[n] >= 0) order[starts[index[n]]++] = n;
  }
  // Every start has moved to the start of the next target.
  for (int64_t target = count; target > 0; --target) starts[target] = starts[target - 1];
  starts[0] = 0;
}

}  // namespace

Status PlanScatterAddRows(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"rows f32[N,D]", "index i32[N]"}, &sides));
  int64_t count = 0;
  EMU_RETURN_IF_ERROR(ReadInteger(call, "count", 0, &count));
  const int64_t rows = sides['N'], width = sides['D'];
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{2, {count, width}}, DType::kF32}));
  plan->check = [=](void* const* inputs) {
    return CheckIndices("scatterAddRows", "index", static_cast<const int32_t*>(inputs[1]), rows, -1, count);
  };
  const RowSplit split = SplitFloats(count, width, call.threads);
  if (split.tasks == 0) return {};
  const auto kernel = scatter_add_rows_for(call.isa).targets;
  plan->phase_tasks = {1, split.tasks};
  plan->shared_scratch_bytes = (count + 1 + rows) * static_cast<int64_t>(sizeof(int64_t));
  plan->run = [=](const TaskContext& task) {
    int64_t* starts = static_cast<int64_t*>(task.shared_scratch);
    int64_t* order = starts + count + 1;
    if (task.phase == 0) {
      SortByTarget(task.indices(1), rows, count, starts, order);
    } else {
      kernel(width, task.in(0), starts, order, split.rows(task.task, count), task.out());
    }
  };
  return {};
}

}  // namespace emu
