#include "ops/convolution/patch.h"

#include <algorithm>
#include <cstring>

namespace emu {

const float* ReadPatch(const void* source, int64_t pixel, int64_t begin, int64_t end, float* buffer) {
  const PatchSource& patch = *static_cast<const PatchSource*>(source);
  const ConvolutionShape& shape = *patch.shape;
  if (begin == end) return buffer;
  const int64_t image = pixel / (shape.out_height * shape.out_width);
  const int64_t place = pixel % (shape.out_height * shape.out_width);
  const int64_t y = place / shape.out_width * shape.stride - shape.top;
  const int64_t x = place % shape.out_width * shape.stride - shape.left;
  // One kernel row is kernel_width neighbouring pixels: contiguous in x, and inside the image from `inside`
  // to `outside`.
  const int64_t run = shape.kernel_width * shape.channels;
  const int64_t inside = std::max<int64_t>(0, -x) * shape.channels;
  const int64_t outside = std::max(inside, std::min(shape.kernel_width, shape.width - x) * shape.channels);
  int64_t at = begin;
  while (at < end) {
    const int64_t kernel_row = at / run;
    const int64_t from = at - kernel_row * run, to = std::min(run, end - kernel_row * run);
    const bool row_inside = y + kernel_row >= 0 && y + kernel_row < shape.height;
    const int64_t first = row_inside ? std::clamp(inside, from, to) : to;
    const int64_t last = row_inside ? std::clamp(outside, first, to) : to;
    // An address only where there is something to read.
    const float* values =
        first < last
            ? patch.x + ((image * shape.height + y + kernel_row) * shape.width + x) * shape.channels + first
            : nullptr;
    if (last - first == end - begin) return values;
    float* out = buffer + (at - begin);
    std::fill(out, out + (first - from), 0.0f);
    if (values != nullptr) std::memcpy(out + (first - from), values, static_cast<size_t>(last - first) * 4);
    std::fill(out + (last - from), out + (to - from), 0.0f);
    at += to - from;
  }
  return buffer;
}

}  // namespace emu
