#include "ops/convolution/convolution.h"

#include <algorithm>

#include "base/call_checks.h"
#include "base/convolution.h"
#include "base/gemm/gemm.h"
#include "base/gemm/packing.h"

namespace emu {
namespace {

Status ReadShape(const CallTypes& call, ConvolutionShape* shape) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(
      call, {"x f32[B,H,W,C]", "weight f32|bf16[O,C,K,L]", "bias? f32[O]", "residual? f32[...]"}, &sides));
  if (call.layouts[1] == Layout::kLinear) return call.Refuse("weight is packed for a linear product");
  *shape = {};
  shape->batch = sides['B'];
  shape->height = sides['H'];
  shape->width = sides['W'];
  shape->channels = sides['C'];
  shape->outputs = sides['O'];
  shape->kernel_height = sides['K'];
  shape->kernel_width = sides['L'];
  EMU_RETURN_IF_ERROR(ReadConvolutionSteps(call, shape));
  const TensorType out = PictureType(shape->batch, shape->out_height, shape->out_width, shape->outputs);
  if (call.has(3) && !(call.shape(3) == out.shape)) {
    return call.Refuse("residual is not " + ToText(out.shape));
  }
  return call.CheckOutput(out);
}

// Packs some panels of a plain weight; `rows` holds one panel's rows in the order of the patch.
void PackPlain(Isa isa, DType dtype, const ConvolutionShape& shape, const void* weight, Rows panels,
               char* rows, char* packed) {
  const PackKernels& kernels = pack_kernels_for(isa);
  const int64_t panel_bytes = PanelBytes(isa, dtype, shape.patch());
  const int64_t row_bytes = shape.patch() * BytesPerElement(dtype);
  for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
    const int64_t first = panel * kernels.panel_rows;
    const int valid = static_cast<int>(std::min<int64_t>(kernels.panel_rows, shape.outputs - first));
    for (int row = 0; row < valid; ++row) {
      ConvolutionRow(dtype, weight, first + row, shape.channels, shape.kernel_height, shape.kernel_width,
                     rows + row * row_bytes);
    }
    kernels.pack_panel(dtype, rows, valid, shape.patch(), packed + panel * panel_bytes);
  }
}

}  // namespace

Status PlanConvolution(const CallTypes& call, CallPlan* plan) {
  ConvolutionShape shape = {};
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape));
  ActivationKind activation = ActivationKind::kNone;
  EMU_RETURN_IF_ERROR(ReadActivation(call, &activation));
  const Isa isa = call.isa;
  const GemmShape product = {shape.pixels(), shape.outputs, shape.patch(), call.inputs[1]->dtype};
  const GemmSplit split = SplitGemm(isa, product, call.threads);
  const int64_t panels = PanelCount(isa, shape.outputs);
  const RowSplit packing = SplitRows(panels, 1, call.threads);
  const bool has_bias = call.has(2), has_residual = call.has(3);
  const bool packed = call.layouts[1] == Layout::kConvolution;
  plan->thread_scratch_bytes = split.scratch_bytes;
  if (!packed) {
    plan->phase_tasks.push_back(packing.tasks);
    plan->shared_scratch_bytes = PackedBytes(isa, product.weight, shape.outputs, product.width);
    const int64_t panel_bytes =
        pack_kernels_for(isa).panel_rows * product.width * BytesPerElement(product.weight);
    plan->thread_scratch_bytes = std::max(split.scratch_bytes, panel_bytes);
  }
  plan->phase_tasks.push_back(split.tasks());
  plan->run = [=](const TaskContext& task) {
    if (!packed && task.phase == 0) {
      PackPlain(isa, product.weight, shape, task.inputs[1], packing.rows(task.task, panels),
                static_cast<char*>(task.thread_scratch), static_cast<char*>(task.shared_scratch));
      return;
    }
    const PatchSource patches = {task.in(0), &shape};
    GemmOperands operands = {};
    operands.left.rows = {PatchPiece, &patches};
    operands.packed = packed ? task.inputs[1] : task.shared_scratch;
    operands.bias = has_bias ? task.in(2) : nullptr;
    operands.residual = has_residual ? task.in(3) : nullptr;
    operands.activation = activation;
    operands.out = task.out();
    RunGemmTask(isa, product, split, operands, task.task, task.thread_scratch);
  };
  return {};
}

}  // namespace emu
