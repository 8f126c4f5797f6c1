#include "ops/rms_norm_gradient/rms_norm_gradient.h"

#include "base/call_checks.h"
#include "base/row_blocks.h"

namespace emu {

Status PlanRmsNormGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...,D]", "weight f32[D]", "dy f32[...,D]"}, &sides, 2));
  RmsNormGradientShape shape = {sides['D'], 0};
  EMU_RETURN_IF_ERROR(ReadEpsilon(call, &shape.epsilon));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(1), DType::kF32}, 1));
  const int64_t width = shape.width;
  if (width == 0) return {};
  const RowBlocks rows = {sides.rest.elements()};
  const int64_t blocks = rows.blocks();
  const RmsNormGradientKernels& kernels = rms_norm_gradient_for(call.isa);
  plan->phase_tasks = {blocks, ColumnTasks(width)};
  plan->shared_scratch_bytes = blocks * width * static_cast<int64_t>(sizeof(float));
  plan->run = [=, &kernels](const TaskContext& task) {
    float* partial = static_cast<float*>(task.shared_scratch);
    if (task.phase == 0) {
      kernels.block(shape, task.in(0), task.in(1), task.in(2), rows.block(task.task), task.out(0),
                    partial + task.task * width);
    } else {
      kernels.sum(partial, blocks, width, ColumnsOfTask(task.task, width), task.out(1));
    }
  };
  return {};
}

}  // namespace emu
