// fill: every element of out is `value`; out f32 of the attribute `shape`. No inputs.
#include <algorithm>
#include <cmath>

#include "base/call_checks.h"

namespace emu {

Status PlanFill(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {}, &sides));
  double value = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("value", &value));
  if (std::abs(value) > 3.4028235e38)
    return RefuseOption(call, "value", std::to_string(value), "a 32-bit float");
  Shape shape;
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape));
  EMU_RETURN_IF_ERROR(call.CheckOutput({shape, DType::kF32}));
  const int64_t elements = shape.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=, value = static_cast<float>(value)](const TaskContext& task) {
    const Rows part = split.rows(task.task, elements);
    std::fill(task.out() + part.begin, task.out() + part.end, value);
  };
  return {};
}

}  // namespace emu
