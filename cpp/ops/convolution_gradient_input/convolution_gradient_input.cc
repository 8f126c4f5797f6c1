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

// A limit for programs from outside, far above any model's: a part costs some planning.
constexpr int64_t kMostParts = 4096;

// The pixels of the picture whose rows and columns leave the same rest modulo the stride. They meet the same
// places of the kernel, so their gradient is the convolution of dy, at stride 1, with the flipped kernel of
// those places.
struct Part {
  int64_t first_y, first_x;  // of these pixels
  int64_t first_i, first_j;  // of the places, which are a stride apart
  ConvolutionShape flipped;
  GemmShape product;
  GemmSplit split;
  int64_t packed;      // where its kernel lies in shared scratch
  int64_t first_task;  // of the product
};

// How many of `size` numbers from 0 on are `first` plus a multiple of `step`.
int64_t CountFrom(int64_t first, int64_t size, int64_t step) {
  return first < size ? (size - first + step - 1) / step : 0;
}

Part PartAt(const ConvolutionShape& shape, int64_t y, int64_t x, DType weight) {
  const int64_t stride = shape.stride;
  Part part = {};
  part.first_y = y;
  part.first_x = x;
  part.first_i = (y + shape.top) % stride;
  part.first_j = (x + shape.left) % stride;
  ConvolutionShape& flipped = part.flipped;
  flipped.batch = shape.batch;
  flipped.height = shape.out_height;
  flipped.width = shape.out_width;
  flipped.channels = shape.outputs;
  flipped.outputs = shape.channels;
  flipped.kernel_height = CountFrom(part.first_i, shape.kernel_height, stride);
  flipped.kernel_width = CountFrom(part.first_j, shape.kernel_width, stride);
  flipped.stride = 1;
  flipped.top = flipped.kernel_height - 1 - (y + shape.top) / stride;
  flipped.left = flipped.kernel_width - 1 - (x + shape.left) / stride;
  flipped.out_height = CountFrom(y, shape.height, stride);
  flipped.out_width = CountFrom(x, shape.width, stride);
  part.product = {flipped.pixels(), flipped.outputs, flipped.patch(), weight};
  return part;
}

// Where a part's rows lie among the pixels of the picture. The form of GemmOperands::place.
struct PartPlaces {
  const ConvolutionShape* shape;
  const Part* part;
};

int64_t PixelOf(const void* source, int64_t row) {
  const PartPlaces& places = *static_cast<const PartPlaces*>(source);
  const ConvolutionShape& shape = *places.shape;
  const ConvolutionShape& flipped = places.part->flipped;
  const int64_t line = row / flipped.out_width, image = line / flipped.out_height;
  const int64_t y = (line - image * flipped.out_height) * shape.stride + places.part->first_y;
  const int64_t x = (row - line * flipped.out_width) * shape.stride + places.part->first_x;
  return (image * shape.height + y) * shape.width + x;
}

// Row `channel` of a part's kernel, in the order (flipped kh, flipped kw, O).
template <class Element>
void FlippedRow(const ConvolutionShape& shape, const Part& part, const Element* weight, int64_t channel,
                Element* row) {
  const int64_t area = shape.kernel_height * shape.kernel_width;
  for (int64_t o = 0; o < shape.outputs; ++o) {
    const Element* kernel = weight + (o * shape.channels + channel) * area;
    Element* to = row + o;
    for (int64_t i = part.flipped.kernel_height - 1; i >= 0; --i) {
      for (int64_t j = part.flipped.kernel_width - 1; j >= 0; --j, to += shape.outputs) {
        *to =
            kernel[(part.first_i + i * shape.stride) * shape.kernel_width + part.first_j + j * shape.stride];
      }
    }
  }
}

void PackFlipped(Isa isa, const ConvolutionShape& shape, const Part& part, const void* weight, int64_t panel,
                 char* rows, char* packed) {
  const PackKernels& kernels = pack_kernels_for(isa);
  const DType dtype = part.product.weight;
  const int64_t width = part.product.width, row_bytes = width * BytesPerElement(dtype);
  const int64_t first = panel * kernels.panel_rows;
  const int valid = static_cast<int>(std::min<int64_t>(kernels.panel_rows, shape.channels - first));
  for (int row = 0; row < valid; ++row) {
    char* to = rows + row * row_bytes;
    if (dtype == DType::kBf16) {
      FlippedRow(shape, part, static_cast<const uint16_t*>(weight), first + row,
                 reinterpret_cast<uint16_t*>(to));
    } else {
      FlippedRow(shape, part, static_cast<const uint32_t*>(weight), first + row,
                 reinterpret_cast<uint32_t*>(to));
    }
  }
  kernels.pack_panel(dtype, rows, valid, width, packed + part.packed + panel * PanelBytes(isa, dtype, width));
}

}  // namespace

Status PlanConvolutionGradientInput(const CallTypes& call, CallPlan* plan) {
  ConvolutionShape shape = {};
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape));
  const Isa isa = call.isa;
  const DType weight = call.inputs[1]->dtype;
  const int64_t panels = PanelCount(isa, shape.channels);
  std::vector<Part> parts;
  int64_t tasks = 0;
  for (int64_t y = 0; y < std::min(shape.stride, shape.height); ++y) {
    for (int64_t x = 0; x < std::min(shape.stride, shape.width); ++x) {
      Part part = PartAt(shape, y, x, weight);
      if (part.product.width == 0) continue;  // meets no place of the kernel: stays zero
      part.split = SplitGemm(isa, part.product, call.threads);
      part.packed = plan->shared_scratch_bytes;
      part.first_task = tasks;
      tasks += part.split.tasks();
      plan->shared_scratch_bytes += PackedBytes(isa, weight, shape.channels, part.product.width);
      const int64_t row_bytes = part.product.width * BytesPerElement(weight);
      plan->thread_scratch_bytes = std::max({plan->thread_scratch_bytes, part.split.scratch_bytes,
                                             pack_kernels_for(isa).panel_rows * row_bytes});
      parts.push_back(part);
      if (static_cast<int64_t>(parts.size()) > kMostParts) {
        return RefuseOption(
            call, "stride", std::to_string(shape.stride),
            "one for which at most " + std::to_string(kMostParts) + " places of the kernel are told apart");
      }
    }
  }
  const int64_t packings = panels * static_cast<int64_t>(parts.size());
  const int64_t elements = shape.batch * shape.height * shape.width * shape.channels;
  const int64_t all_parts = std::min(shape.stride, shape.height) * std::min(shape.stride, shape.width);
  const bool fills = static_cast<int64_t>(parts.size()) < all_parts;
  const RowSplit zeros = fills ? SplitFloats(elements, 1, call.threads) : RowSplit{1, 0};
  plan->phase_tasks = {packings + zeros.tasks, tasks};
  plan->run = [=](const TaskContext& task) {
    char* packed = static_cast<char*>(task.shared_scratch);
    if (task.phase == 0 && task.task >= packings) {
      const Rows part = zeros.rows(task.task - packings, elements);
      std::fill(task.out() + part.begin, task.out() + part.end, 0.0f);
      return;
    }
    if (task.phase == 0) {
      PackFlipped(isa, shape, parts[static_cast<size_t>(task.task / panels)], task.inputs[1],
                  task.task % panels, static_cast<char*>(task.thread_scratch), packed);
      return;
    }
    size_t at = 0;
    while (task.task >= parts[at].first_task + parts[at].split.tasks()) ++at;
    const Part& part = parts[at];
    const PatchSource met = {task.in(0), &part.flipped};
    const PartPlaces places = {&shape, &part};
    GemmOperands operands = {};
    operands.left.rows = {PatchPiece, &met};
    operands.packed = packed + part.packed;
    operands.activation = ActivationKind::kNone;
    operands.out = task.out();
    if (shape.stride > 1) {
      operands.place = PixelOf;
      operands.place_source = &places;
    }
    RunGemmTask(isa, part.product, part.split, operands, task.task - part.first_task, task.thread_scratch);
  };
  return {};
}

}  // namespace emu
