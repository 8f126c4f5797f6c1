#include "ops/adamw/adamw.h"

#include <cmath>

#include "base/call_checks.h"

namespace emu {
namespace {

constexpr int64_t kHyperNumbers = 8;

AdamwStep ReadStep(const float* hyper) {
  const double rate = hyper[0], beta1 = hyper[1], beta2 = hyper[2], decay = hyper[4];
  const double correction1 = hyper[5], correction2 = hyper[6];
  return {hyper[7], static_cast<float>(1 - rate * decay),  static_cast<float>(1 - beta1),
          hyper[2], static_cast<float>(1 - beta2),         static_cast<float>(std::sqrt(correction2)),
          hyper[3], static_cast<float>(rate / correction1)};
}

}  // namespace

Status PlanAdamw(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(
      call,
      {"parameter f32[...]", "moment1 f32[...]", "moment2 f32[...]", "gradient f32[...]", "hyper f32[N]"},
      &sides));
  if (sides['N'] != kHyperNumbers)
    return call.Refuse("hyper has " + std::to_string(sides['N']) + " numbers, needs 8");
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = adamw_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(ReadStep(task.in(4)), task.in(3), split.rows(task.task, elements), task.out(),
           static_cast<float*>(task.inputs[1]), static_cast<float*>(task.inputs[2]));
  };
  return {};
}

}  // namespace emu
