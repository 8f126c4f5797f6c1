#include "ops/cache_write/cache_write.h"

#include <algorithm>

#include "base/call_checks.h"

namespace emu {

Status PlanCacheWrite(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(
      call,
      {"cache f32|bf16[P,Z,G,K]", "rows f32[R,G,K]", "slot i32[R]", "position i32[R]", "pageTable i32[L,M]"},
      &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));
  const int64_t rows = sides['R'];
  const PagedCache cache = {sides['P'], sides['Z'], sides['L'], sides['M'], sides['G'] * sides['K']};
  const auto places = [](void* const* inputs) -> CachePlaces {
    return {static_cast<const int32_t*>(inputs[2]), static_cast<const int32_t*>(inputs[3]),
            static_cast<const int32_t*>(inputs[4])};
  };
  plan->check = [=](void* const* inputs) {
    return CheckCachePlaces("cacheWrite", cache, places(inputs), rows, CacheReach::kOwnPosition);
  };
  // At least a cache line of bf16 per row and 64 KiB per task.
  const RowSplit split = SplitRows(cache.row_width, std::max<int64_t>(16384 / (rows + 1), 32), call.threads);
  plan->phase_tasks = {rows == 0 ? 0 : split.tasks};
  const CacheWriteKernels& kernels = cache_write_for(call.isa);
  if (call.inputs[0]->dtype == DType::kF32) {
    plan->run = [=, kernel = kernels.f32_columns](const TaskContext& task) {
      kernel(cache, places(task.inputs), task.in(1), rows, split.rows(task.task, cache.row_width),
             task.out());
    };
  } else {
    plan->run = [=, kernel = kernels.bf16_columns](const TaskContext& task) {
      kernel(cache, places(task.inputs), task.in(1), rows, split.rows(task.task, cache.row_width),
             static_cast<Bf16*>(task.outputs[0]));
    };
  }
  return {};
}

}  // namespace emu
