// cachePageCopy: page to[n] of the cache becomes a copy of page from[n], for n = 0, 1, ... in this order;
// from -1: left out. cache [P,G,Z,K] or [P,G,K,Z], f32 or bf16, updated in place; from, to i32[N].
//
// A task copies its stripe of every page, so the order of the list holds whatever the threads do.
#include <algorithm>
#include <cstring>

#include "base/call_checks.h"

namespace emu {
namespace {

Status CheckPages(const int32_t* from, const int32_t* to, int64_t count, int64_t pages) {
  EMU_RETURN_IF_ERROR(CheckIndices("cachePageCopy", "from", from, count, -1, pages));
  for (int64_t n = 0; n < count; ++n) {
    if (from[n] < 0 || (to[n] >= 0 && to[n] < pages)) continue;
    std::string text = "[cachePageCopy] to ";
    text += std::to_string(to[n]) + " at row " + std::to_string(n);
    return Status(Code::kInvalidOption, text + " is not in 0.." + std::to_string(pages - 1));
  }
  return {};
}

}  // namespace

Status PlanCachePageCopy(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"cache f32|bf16[P,...]", "from i32[N]", "to i32[N]"}, &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));
  const int64_t pages = sides['P'], copies = sides['N'];
  const int64_t page_bytes = sides.rest.elements() * BytesPerElement(call.inputs[0]->dtype);
  plan->check = [=](void* const* inputs) {
    return CheckPages(static_cast<const int32_t*>(inputs[1]), static_cast<const int32_t*>(inputs[2]), copies,
                      pages);
  };
  const RowSplit split = SplitRows(page_bytes, std::max<int64_t>(65536 / (copies + 1), 4096), call.threads);
  plan->phase_tasks = {copies == 0 ? 0 : split.tasks};
  plan->run = [=](const TaskContext& task) {
    const int32_t *from = task.indices(1), *to = task.indices(2);
    const Rows stripe = split.rows(task.task, page_bytes);
    char* cache = static_cast<char*>(task.outputs[0]) + stripe.begin;
    for (int64_t n = 0; n < copies; ++n) {
      if (from[n] < 0 || from[n] == to[n]) continue;
      std::memcpy(cache + to[n] * page_bytes, cache + from[n] * page_bytes,
                  static_cast<size_t>(stripe.end - stripe.begin));
    }
  };
  return {};
}

}  // namespace emu
