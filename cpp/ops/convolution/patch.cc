#include "ops/convolution/patch.h"

#include <algorithm>

namespace emu {

const float* PatchPiece(const void* source, int64_t pixel, int64_t begin, int64_t end, int64_t* stop) {
  const PatchSource& patch = *static_cast<const PatchSource*>(source);
  const ConvolutionShape& shape = *patch.shape;
  const int64_t line = pixel / shape.out_width, image = line / shape.out_height;
  // One kernel row is kernel_width neighbouring pixels: contiguous in x, and inside the image from `inside`
  // to `outside`.
  const int64_t run = shape.kernel_width * shape.channels;
  const int64_t kernel_row = begin / run;
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
