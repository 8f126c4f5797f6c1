#include "ops/layer_norm/layer_norm.h"

#include "base/call_checks.h"

namespace emu {

Status PlanLayerNorm(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...,D]", "weight f32[D]", "bias f32[D]"}, &sides));
  LayerNormShape shape = {sides['D'], 0};
  EMU_RETURN_IF_ERROR(ReadEpsilon(call, &shape.epsilon));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  const int64_t rows = sides.rest.elements();
  const RowSplit split = SplitFloats(rows, shape.width, call.threads);
  const auto kernel = layer_norm_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(shape, task.in(0), task.in(1), task.in(2), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
