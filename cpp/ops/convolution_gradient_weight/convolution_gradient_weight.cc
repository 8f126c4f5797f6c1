#include "ops/convolution_gradient_weight/convolution_gradient_weight.h"

#include "base/call_checks.h"
#include "base/convolution.h"
#include "base/gemm/gemm.h"
#include "base/gemm/precision.h"

namespace emu {
namespace {

Status ReadShape(const CallTypes& call, ConvolutionShape* shape) {
  EMU_RETURN_IF_ERROR(ReadInteger(call, "kernelHeight", 1, &shape->kernel_height));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "kernelWidth", 1, &shape->kernel_width));
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[B,H,W,C]", "dy f32[B,P,Q,O]"}, &sides));
  shape->batch = sides['B'];
  shape->height = sides['H'];
  shape->width = sides['W'];
  shape->channels = sides['C'];
  shape->outputs = sides['O'];
  EMU_RETURN_IF_ERROR(ReadConvolutionSteps(call, shape));
  if (shape->out_height != sides['P'] || shape->out_width != sides['Q']) {
    return call.Refuse("a picture " + std::to_string(shape->height) + "x" + std::to_string(shape->width) +
                       " gives " + std::to_string(shape->out_height) + "x" +
                       std::to_string(shape->out_width) + ", dy has " + std::to_string(sides['P']) + "x" +
                       std::to_string(sides['Q']));
  }
  return call.CheckOutput(
      PictureType(shape->outputs, shape->channels, shape->kernel_height, shape->kernel_width));
}

// One row of the product, (kh, kw, C), to (C, kh, kw).
void ChannelsFirst(const ConvolutionShape& shape, const float* from, float* to) {
  const int64_t area = shape.kernel_height * shape.kernel_width;
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (int64_t place = 0; place < area; ++place) to[c * area + place] = from[place * shape.channels + c];
  }
}

}  // namespace

Status PlanConvolutionGradientWeight(const CallTypes& call, CallPlan* plan) {
  ConvolutionShape shape = {};
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape));
  GemmShape product = {shape.outputs, shape.patch(), shape.pixels(), DType::kF32};
  EMU_RETURN_IF_ERROR(ReadPrecision(call, &product.weight));
  const Isa isa = call.isa;
  const GemmSplit split = SplitGemm(isa, product, call.threads, true);
  // A kernel of one place needs no second phase: its channels come first as they are.
  const bool reorders = shape.kernel_height * shape.kernel_width > 1;
  const RowSplit rows = SplitFloats(shape.outputs, product.outputs, call.threads);
  plan->phase_tasks = {split.tasks()};
  if (reorders) plan->phase_tasks.push_back(rows.tasks);
  plan->shared_scratch_bytes = reorders ? product.rows * product.outputs * 4 : 0;
  plan->thread_scratch_bytes = split.scratch_bytes;
  plan->run = [=](const TaskContext& task) {
    float* sums = reorders ? static_cast<float*>(task.shared_scratch) : task.out();
    if (task.phase == 1) {
      const Rows part = rows.rows(task.task, shape.outputs);
      for (int64_t o = part.begin; o < part.end; ++o) {
        ChannelsFirst(shape, sums + o * product.outputs, task.out() + o * product.outputs);
      }
      return;
    }
    const PatchSource patches = {task.in(0), &shape};
    GemmOperands operands = {};
    operands.left.columns = task.in(1);
    operands.left.stride = shape.outputs;
    operands.lines = {PatchPiece, &patches};
    operands.activation = ActivationKind::kNone;
    operands.out = sums;
    RunGemmTask(isa, product, split, operands, task.task, task.thread_scratch);
  };
  return {};
}

}  // namespace emu
