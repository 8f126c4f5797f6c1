#include "ops/convolution_gradient_weight/convolution_gradient_weight.h"

#include <algorithm>

#include "base/call_checks.h"
#include "base/gemm/gemm.h"
#include "base/gemm/precision.h"

namespace emu {
namespace {

constexpr int64_t kFloat = sizeof(float);

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

// Blocks of output rows, each with sums of its own: more would keep more threads busy, and take more memory.
constexpr int64_t kMostBlocks = 32;
// What such sums may be, so that they stay in the cache of a core: 64 outputs of 3x3 kernels over 64
// channels.
constexpr int64_t kMostSums = 64 * 9 * 64;

// Whether reading windows beats packing patches, by measurement on AVX-512 and AMX. Sums are read and written
// once per row of the picture, so rows must be long; bf16 multiplies packed patches so fast that little is to
// be gained.
bool ReadsWindows(const ConvolutionShape& shape, bool rounds) {
  if (shape.kernel_height * shape.kernel_width == 1) return false;
  if (shape.outputs * shape.patch() > kMostSums) return false;
  const bool is_thin = shape.outputs * shape.channels <= 600, has_long_rows = shape.out_width >= 32;
  return rounds ? is_thin && has_long_rows : is_thin || (shape.outputs <= 64 && has_long_rows);
}

Status PlanWindows(const CallTypes& call, const ConvolutionShape& shape, bool rounds, CallPlan* plan) {
  const int64_t lines = shape.batch * shape.out_height, patch = shape.patch();
  const int64_t blocks = std::min(lines, kMostBlocks), product = shape.outputs * patch;
  const int64_t padded_floats =
      ((shape.out_width - 1) * shape.stride + shape.kernel_width) * shape.channels + kWindowSlack;
  const int64_t dy_floats = shape.out_width * shape.outputs;
  const RowSplit split = SplitFloats(shape.outputs, patch, call.threads);
  const ConvolutionGradientWeightKernels& kernels = convolution_gradient_weight_for(call.isa);
  plan->phase_tasks = {blocks, split.tasks};
  plan->shared_scratch_bytes = blocks * product * kFloat;
  plan->thread_scratch_bytes = std::max(padded_floats + dy_floats, patch) * kFloat;
  plan->run = [=, &kernels](const TaskContext& task) {
    float* sums = static_cast<float*>(task.shared_scratch);
    float* scratch = static_cast<float*>(task.thread_scratch);
    if (task.phase == 1) {
      const Rows outputs = split.rows(task.task, shape.outputs);
      for (int64_t o = outputs.begin; o < outputs.end; ++o) {
        kernels.total(sums + o * patch, blocks, product, {0, patch}, scratch);
        ChannelsFirst(shape, scratch, task.out() + o * patch);
      }
      return;
    }
    float* own = sums + task.task * product;
    std::fill(own, own + product, 0.0f);
    float *padded = scratch, *rounded = scratch + padded_floats;
    for (int64_t line = task.task * lines / blocks; line < (task.task + 1) * lines / blocks; ++line) {
      const int64_t picture = line / shape.out_height, row = line % shape.out_height;
      const float* dy = task.in(1) + line * dy_floats;
      if (rounds) {
        std::copy(dy, dy + dy_floats, rounded);
        kernels.round(rounded, dy_floats);
        dy = rounded;
      }
      for (int64_t place = 0; place < shape.kernel_height; ++place) {
        const int64_t y = row * shape.stride - shape.top + place;
        if (y < 0 || y >= shape.height) continue;
        kernels.pad(shape, task.in(0) + (picture * shape.height + y) * shape.width * shape.channels, padded);
        if (rounds) kernels.round(padded, padded_floats);
        kernels.add(shape, dy, padded, own + place * shape.kernel_width * shape.channels, patch);
      }
    }
  };
  return {};
}

Status PlanPatches(const CallTypes& call, const ConvolutionShape& shape, const GemmShape& product,
                   CallPlan* plan) {
  const Isa isa = call.isa;
  const GemmSplit split = SplitGemm(isa, product, call.threads, true);
  // A kernel of one place needs no second phase: its channels come first as they are.
  const bool reorders = shape.kernel_height * shape.kernel_width > 1;
  const RowSplit rows = SplitFloats(shape.outputs, product.outputs, call.threads);
  plan->phase_tasks = {split.tasks()};
  if (reorders) plan->phase_tasks.push_back(rows.tasks);
  plan->shared_scratch_bytes = reorders ? product.rows * product.outputs * kFloat : 0;
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

}  // namespace

Status PlanConvolutionGradientWeight(const CallTypes& call, CallPlan* plan) {
  ConvolutionShape shape = {};
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape));
  GemmShape product = {shape.outputs, shape.patch(), shape.pixels(), DType::kF32};
  EMU_RETURN_IF_ERROR(ReadPrecision(call, &product.weight));
  const bool rounds = product.weight == DType::kBf16;
  if (ReadsWindows(shape, rounds)) return PlanWindows(call, shape, rounds, plan);
  return PlanPatches(call, shape, product, plan);
}

}  // namespace emu
