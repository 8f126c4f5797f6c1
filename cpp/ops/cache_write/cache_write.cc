#include "ops/cache_write/cache_write.h"

#include <algorithm>

#include "base/call_checks.h"

namespace emu {

namespace {

// Keys lie with their positions last, as cachedAttention reads them.
Status PartOf(const CallTypes& call, bool* keys) {
  std::string part;
  EMU_RETURN_IF_ERROR(call.attributes.Text("part", &part));
  *keys = part == "keys";
  if (*keys || part == "values") return {};
  return Status(Code::kInvalidOption, "[cacheWrite] part \"" + part + "\" is not keys or values");
}

}  // namespace

Status PlanCacheWrite(const CallTypes& call, CallPlan* plan) {
  bool keys = false;
  EMU_RETURN_IF_ERROR(PartOf(call, &keys));
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call,
                                 {keys ? "cache f32|bf16[P,G,K,Z]" : "cache f32|bf16[P,G,Z,K]",
                                  "rows f32[R,G,K]", "slot i32[R]", "position i32[R]", "pageTable i32[L,M]"},
                                 &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));
  const int64_t rows = sides['R'];
  const PagedCache cache = {sides['P'], sides['Z'], sides['L'], sides['M'], sides['G'], sides['K']};
  const PartStrides strides = keys ? PartStrides{1, cache.page_rows} : PartStrides{cache.width, 1};
  const auto places = [](void* const* inputs) -> CachePlaces {
    return {static_cast<const int32_t*>(inputs[2]), static_cast<const int32_t*>(inputs[3]),
            static_cast<const int32_t*>(inputs[4])};
  };
  plan->check = [=](void* const* inputs) {
    return CheckCachePlaces("cacheWrite", cache, places(inputs), rows, CacheReach::kOwnPosition);
  };
  // 16 Ki elements per task.
  const RowSplit split =
      SplitRows(cache.heads, std::max<int64_t>(16384 / (rows * cache.width + 1), 1), call.threads);
  plan->phase_tasks = {rows == 0 ? 0 : split.tasks};
  const CacheWriteKernels& kernels = cache_write_for(call.isa);
  if (call.inputs[0]->dtype == DType::kF32) {
    plan->run = [=, kernel = kernels.f32_heads](const TaskContext& task) {
      kernel(cache, strides, places(task.inputs), task.in(1), rows, split.rows(task.task, cache.heads),
             task.out());
    };
  } else {
    plan->run = [=, kernel = kernels.bf16_heads](const TaskContext& task) {
      kernel(cache, strides, places(task.inputs), task.in(1), rows, split.rows(task.task, cache.heads),
             static_cast<Bf16*>(task.outputs[0]));
    };
  }
  return {};
}

}  // namespace emu
