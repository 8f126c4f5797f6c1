#include "ops/sum_of_squares/sum_of_squares.h"

#include <algorithm>

#include "base/call_checks.h"

namespace emu {
namespace {

// Elements of a task; fixed, because the order of the sum depends on it.
constexpr int64_t kTaskElements = 65536;

}  // namespace

Status PlanSumOfSquares(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]"}, &sides));
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{1, {1}}, DType::kF32}));
  const int64_t elements = sides.rest.elements();
  const int64_t tasks = (elements + kTaskElements - 1) / kTaskElements;
  const auto kernel = sum_of_squares_for(call.isa).elements;
  plan->phase_tasks = {tasks, 1};
  plan->shared_scratch_bytes = tasks * static_cast<int64_t>(sizeof(double));
  plan->run = [=](const TaskContext& task) {
    double* sums = static_cast<double*>(task.shared_scratch);
    if (task.phase == 0) {
      const int64_t begin = task.task * kTaskElements;
      sums[task.task] = kernel(task.in(0), {begin, std::min(begin + kTaskElements, elements)});
      return;
    }
    double total = 0;
    for (int64_t part = 0; part < tasks; ++part) total += sums[part];
    task.out()[0] = static_cast<float>(total);
  };
  return {};
}

}  // namespace emu
