#include "ops/accumulate/accumulate.h"

#include <cmath>

#include "base/call_checks.h"

namespace emu {
namespace {

Status ReadFactor(const CallTypes& call, const char* name, float* out) {
  double value = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number(name, &value));
  if (std::abs(value) > 3.4028235e38)
    return RefuseOption(call, name, std::to_string(value), "a 32-bit float");
  *out = static_cast<float>(value);
  return {};
}

}  // namespace

Status PlanAccumulate(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"state f32[...]", "x f32[...]"}, &sides));
  float keep = 0, factor = 0;
  EMU_RETURN_IF_ERROR(ReadFactor(call, "keep", &keep));
  EMU_RETURN_IF_ERROR(ReadFactor(call, "factor", &factor));
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = accumulate_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(keep, factor, task.in(1), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
