#include "ops/scale/scale.h"

#include <cmath>

#include "base/call_checks.h"

namespace emu {

Status PlanScale(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]"}, &sides));
  double factor = 0, offset = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("factor", &factor));
  EMU_RETURN_IF_ERROR(call.attributes.Number("offset", &offset));
  if (std::abs(factor) > 3.4e38)
    return RefuseOption(call, "factor", std::to_string(factor), "a 32-bit float");
  if (std::abs(offset) > 3.4e38)
    return RefuseOption(call, "offset", std::to_string(offset), "a 32-bit float");
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, DType::kF32}));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = scale_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=, factor = static_cast<float>(factor),
               offset = static_cast<float>(offset)](const TaskContext& task) {
    kernel(factor, offset, task.in(0), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
