#include "base/convolution.h"

#include <algorithm>

#include "base/call_checks.h"

namespace emu {

Status ReadConvolutionSteps(const CallTypes& call, ConvolutionShape* shape) {
  EMU_RETURN_IF_ERROR(ReadInteger(call, "stride", 1, &shape->stride));
  std::vector<int64_t> padding;
  EMU_RETURN_IF_ERROR(call.attributes.Integers("padding", &padding));
  if (padding.size() != 4 || *std::min_element(padding.begin(), padding.end()) < 0) {
    std::string text;
    for (int64_t side : padding) {
      if (!text.empty()) text += ',';
      text += std::to_string(side);
    }
    return RefuseOption(call, "padding", text, "four integers of at least 0: top, bottom, left, right");
  }
  const int64_t height = shape->height + padding[0] + padding[1];
  const int64_t width = shape->width + padding[2] + padding[3];
  const int64_t kernel_height = shape->kernel_height, kernel_width = shape->kernel_width;
  if (kernel_height == 0 || kernel_width == 0 || kernel_height > height || kernel_width > width) {
    return call.Refuse("kernel " + std::to_string(kernel_height) + "x" + std::to_string(kernel_width) +
                       " does not fit the padded picture " + std::to_string(height) + "x" +
                       std::to_string(width));
  }
  shape->top = padding[0];
  shape->left = padding[2];
  shape->out_height = (height - kernel_height) / shape->stride + 1;
  shape->out_width = (width - kernel_width) / shape->stride + 1;
  return {};
}

TensorType PictureType(int64_t batch, int64_t height, int64_t width, int64_t channels) {
  TensorType type;
  for (int64_t side : {batch, height, width, channels}) type.shape = WithLast(type.shape, side);
  return type;
}

const float* PatchPiece(const void* source, int64_t pixel, int64_t begin, int64_t end, int64_t* stop) {
  const PatchSource& patch = *static_cast<const PatchSource*>(source);
  const ConvolutionShape& shape = *patch.shape;
  const int64_t line = patch.out_width.Divide(pixel), image = patch.out_height.Divide(line);
  // One kernel row is kernel_width neighbouring pixels: contiguous in x, and inside the image from `inside`
  // to `outside`.
  const int64_t run = shape.kernel_width * shape.channels;
  const int64_t kernel_row = patch.run.Divide(begin);
  const int64_t y = (line - image * shape.out_height) * shape.stride - shape.top + kernel_row;
  const int64_t x = (pixel - line * shape.out_width) * shape.stride - shape.left;
  const int64_t from = begin - kernel_row * run, to = std::min(run, end - kernel_row * run);
  const int64_t inside = -x * shape.channels, outside = (shape.width - x) * shape.channels;
  if (y < 0 || y >= shape.height || from >= outside) {
    *stop = kernel_row * run + to;
    return nullptr;
  }
  if (from < inside) {
    *stop = kernel_row * run + std::min(to, inside);
    return nullptr;
  }
  *stop = kernel_row * run + std::min(to, outside);
  return patch.x + ((image * shape.height + y) * shape.width + x) * shape.channels + from;
}

}  // namespace emu
