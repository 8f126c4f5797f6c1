#include "ops/convolution_gradient_input/convolution_gradient_input.h"

#include <algorithm>

#include "base/call_checks.h"
#include "base/convolution.h"
#include "base/gemm/gemm.h"
#include "base/gemm/packing.h"

namespace emu {
namespace {

// The shape of the convolution whose gradient is taken.
Status ReadShape(const CallTypes& call, ConvolutionShape* shape) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"dy f32[B,H,W,O]", "weight f32|bf16[O,C,K,L]"}, &sides));
  if (call.layouts[1] != Layout::kPlain) return call.Refuse("weight is packed");
  EMU_RETURN_IF_ERROR(ReadInteger(call, "height", 0, &shape->height));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "width", 0, &shape->width));
  shape->batch = sides['B'];
  shape->channels = sides['C'];
  shape->outputs = sides['O'];
  shape->kernel_height = sides['K'];
  shape->kernel_width = sides['L'];
  EMU_RETURN_IF_ERROR(ReadConvolutionSteps(call, shape));
  if (shape->out_height != sides['H'] || shape->out_width != sides['W']) {
    return call.Refuse("a picture " + std::to_string(shape->height) + "x" + std::to_string(shape->width) +
                       " gives " + std::to_string(shape->out_height) + "x" +
                       std::to_string(shape->out_width) + ", dy has " + std::to_string(sides['H']) + "x" +
                       std::to_string(sides['W']));
  }
  return call.CheckOutput(PictureType(shape->batch, shape->height, shape->width, shape->channels));
}

// At stride 1: the convolution of dy with the flipped kernel.
ConvolutionShape Flipped(const ConvolutionShape& shape) {
  ConvolutionShape flipped = shape;
  flipped.height = shape.out_height;
  flipped.width = shape.out_width;
  flipped.channels = shape.outputs;
  flipped.outputs = shape.channels;
  flipped.top = shape.kernel_height - 1 - shape.top;
  flipped.left = shape.kernel_width - 1 - shape.left;
  flipped.out_height = shape.height;
  flipped.out_width = shape.width;
  return flipped;
}

// The piece of what pixel `pixel` of the picture meets in dy, in the order (flipped kh, flipped kw, O).
const float* MetPiece(const void* source, int64_t pixel, int64_t begin, int64_t end, int64_t* stop) {
  const PatchSource& met = *static_cast<const PatchSource*>(source);
  const ConvolutionShape& shape = *met.shape;
  const int64_t place = begin / shape.outputs, from = begin - place * shape.outputs;
  *stop = std::min(end, (place + 1) * shape.outputs);
  const int64_t line = pixel / shape.width, image = line / shape.height;
  const int64_t row = place / shape.kernel_width;
  const int64_t y = line - image * shape.height + shape.top - (shape.kernel_height - 1 - row);
  const int64_t x =
      pixel - line * shape.width + shape.left - (shape.kernel_width - 1 - (place - row * shape.kernel_width));
  if (y < 0 || x < 0 || y % shape.stride != 0 || x % shape.stride != 0) return nullptr;
  const int64_t out_y = y / shape.stride, out_x = x / shape.stride;
  if (out_y >= shape.out_height || out_x >= shape.out_width) return nullptr;
  return met.x + ((image * shape.out_height + out_y) * shape.out_width + out_x) * shape.outputs + from;
}

// Row `channel` of the flipped kernel, in the order (kh, kw, O).
template <class Element>
void FlippedRow(const ConvolutionShape& shape, const Element* weight, int64_t channel, Element* row) {
  const int64_t area = shape.kernel_height * shape.kernel_width;
  for (int64_t o = 0; o < shape.outputs; ++o) {
    const Element* kernel = weight + (o * shape.channels + channel) * area;
    for (int64_t place = 0; place < area; ++place) {
      row[(area - 1 - place) * shape.outputs + o] = kernel[place];
    }
  }
}

void PackFlipped(Isa isa, DType dtype, const ConvolutionShape& shape, const void* weight, int64_t panel,
                 char* rows, char* packed) {
  const PackKernels& kernels = pack_kernels_for(isa);
  const int64_t width = shape.kernel_height * shape.kernel_width * shape.outputs;
  const int64_t row_bytes = width * BytesPerElement(dtype);
  const int64_t first = panel * kernels.panel_rows;
  const int valid = static_cast<int>(std::min<int64_t>(kernels.panel_rows, shape.channels - first));
  for (int row = 0; row < valid; ++row) {
    char* to = rows + row * row_bytes;
    if (dtype == DType::kBf16) {
      FlippedRow(shape, static_cast<const uint16_t*>(weight), first + row, reinterpret_cast<uint16_t*>(to));
    } else {
      FlippedRow(shape, static_cast<const uint32_t*>(weight), first + row, reinterpret_cast<uint32_t*>(to));
    }
  }
  kernels.pack_panel(dtype, rows, valid, width, packed + panel * PanelBytes(isa, dtype, width));
}

}  // namespace

Status PlanConvolutionGradientInput(const CallTypes& call, CallPlan* plan) {
  ConvolutionShape shape = {};
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape));
  const Isa isa = call.isa;
  const ConvolutionShape flipped = Flipped(shape);
  const GemmShape product = {shape.batch * shape.height * shape.width, shape.channels,
                             shape.kernel_height * shape.kernel_width * shape.outputs, call.inputs[1]->dtype};
  const GemmSplit split = SplitGemm(isa, product, call.threads);
  const int64_t row_bytes = product.width * BytesPerElement(product.weight);
  plan->phase_tasks = {PanelCount(isa, product.outputs), split.tasks()};
  plan->shared_scratch_bytes = PackedBytes(isa, product.weight, product.outputs, product.width);
  plan->thread_scratch_bytes = std::max(split.scratch_bytes, pack_kernels_for(isa).panel_rows * row_bytes);
  plan->run = [=](const TaskContext& task) {
    if (task.phase == 0) {
      PackFlipped(isa, product.weight, shape, task.inputs[1], task.task,
                  static_cast<char*>(task.thread_scratch), static_cast<char*>(task.shared_scratch));
      return;
    }
    const bool simple = shape.stride == 1;
    const PatchSource met = {task.in(0), simple ? &flipped : &shape};
    GemmOperands operands = {};
    operands.left.rows = {simple ? PatchPiece : MetPiece, &met};
    operands.packed = task.shared_scratch;
    operands.activation = ActivationKind::kNone;
    operands.out = task.out();
    RunGemmTask(isa, product, split, operands, task.task, task.thread_scratch);
  };
  return {};
}

}  // namespace emu
