#include "ops/linear/linear.h"

#include "base/call_checks.h"
#include "base/gemm/gemm.h"
#include "base/gemm/packing.h"
#include "base/gemm/row_matrix.h"

namespace emu {

Status PlanLinear(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(
      call, {"x f32[...,I]", "weight f32|bf16[O,I]", "bias? f32[O]", "residual? f32[...,O]"}, &sides));
  if (call.layouts[1] == Layout::kConvolution) return call.Refuse("weight is packed for a convolution");
  EMU_RETURN_IF_ERROR(call.CheckOutput({WithLast(sides.rest, sides['O']), DType::kF32}));
  ActivationKind activation = ActivationKind::kNone;
  EMU_RETURN_IF_ERROR(ReadActivation(call, &activation));
  const Isa isa = call.isa;
  const GemmShape shape = {sides.rest.elements(), sides['O'], sides['I'], call.inputs[1]->dtype};
  const GemmSplit split = SplitGemm(isa, shape, call.threads);
  const RowSplit packing = SplitPacking(isa, false, shape.outputs, shape.width, call.threads);
  const bool has_bias = call.has(2), has_residual = call.has(3);
  const bool packed = call.layouts[1] == Layout::kLinear;
  if (!packed) {
    plan->phase_tasks.push_back(packing.tasks);
    plan->shared_scratch_bytes = PackedBytes(isa, shape.weight, shape.outputs, shape.width);
  }
  plan->phase_tasks.push_back(split.tasks());
  plan->thread_scratch_bytes = split.scratch_bytes;
  plan->run = [=](const TaskContext& task) {
    if (!packed && task.phase == 0) {
      const PlainMatrix weight = {task.inputs[1], shape.weight, shape.width, false};
      RunPackingTask(isa, shape.weight, weight, shape.outputs, shape.width, packing, task.task,
                     task.shared_scratch);
      return;
    }
    const RowMatrix matrix = {task.in(0), shape.width};
    GemmOperands operands = {};
    operands.left.rows = {RowPiece, &matrix};
    operands.packed = packed ? task.inputs[1] : task.shared_scratch;
    operands.bias = has_bias ? task.in(2) : nullptr;
    operands.residual = has_residual ? task.in(3) : nullptr;
    operands.activation = activation;
    operands.out = task.out();
    RunGemmTask(isa, shape, split, operands, task.task, task.thread_scratch);
  };
  return {};
}

}  // namespace emu
