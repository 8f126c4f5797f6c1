#include "ops/layer_norm_gradient/layer_norm_gradient.h"

#include "base/call_checks.h"
#include "base/row_blocks.h"

namespace emu {

Status PlanLayerNormGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...,D]", "weight f32[D]", "dy f32[...,D]"}, &sides, 3));
  LayerNormGradientShape shape = {sides['D'], 0};
  EMU_RETURN_IF_ERROR(ReadEpsilon(call, &shape.epsilon));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(1), DType::kF32}, 1));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(1), DType::kF32}, 2));
  const int64_t width = shape.width;
  if (width == 0) return {};
  const RowBlocks rows = {sides.rest.elements()};
  const int64_t blocks = rows.blocks(), column_tasks = ColumnTasks(width);
  const LayerNormGradientKernels& kernels = layer_norm_gradient_for(call.isa);
  plan->phase_tasks = {blocks, 2 * column_tasks};
  plan->shared_scratch_bytes = blocks * 2 * width * static_cast<int64_t>(sizeof(float));
  plan->run = [=, &kernels](const TaskContext& task) {
    float* partial = static_cast<float*>(task.shared_scratch);
    if (task.phase == 0) {
      kernels.block(shape, task.in(0), task.in(1), task.in(2), rows.block(task.task), task.out(0),
                    partial + task.task * 2 * width);
      return;
    }
    const int64_t which = task.task / column_tasks;  // dweight, dbias
    kernels.sum(partial + which * width, blocks, 2 * width, ColumnsOfTask(task.task % column_tasks, width),
                task.out(static_cast<int>(1 + which)));
  };
  return {};
}

}  // namespace emu
