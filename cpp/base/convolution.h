// What convolution and its gradients share: how a kernel moves over a channels-last picture, and reading the
// patches it meets without storing them.
#pragma once

#include "base/op.h"

namespace emu {

struct ConvolutionShape {
  int64_t batch, height, width, channels;
  int64_t outputs, kernel_height, kernel_width;
  int64_t stride, top, left;
  int64_t out_height, out_width;

  int64_t patch() const { return kernel_height * kernel_width * channels; }
  int64_t pixels() const { return batch * out_height * out_width; }
};

// Fills in stride, top, left, out_height and out_width from the attributes `stride` and `padding`; the other
// sides are given. INVALID_OPTION or TENSOR_SHAPE_MISMATCH.
Status ReadConvolutionSteps(const CallTypes& call, ConvolutionShape* shape);

// f32 of these four sides.
TensorType PictureType(int64_t batch, int64_t height, int64_t width, int64_t channels);

// Division of numbers >= 0 by a positive one as a multiplication, exact for n < 2^31; larger ones are
// divided. Patches are found pixel by pixel, where three divisions took as long as copying what they found.
class Divisor {
 public:
  // May be 0 where nothing will be divided.
  explicit Divisor(int64_t by)
      : by_(by), scale_(by == 0 ? 0 : (uint64_t{1} << 62) / static_cast<uint64_t>(by) + 1) {}
  int64_t Divide(int64_t n) const {
    if (n >= int64_t{1} << 31) return n / by_;
    return static_cast<int64_t>((static_cast<unsigned __int128>(n) * scale_) >> 62);
  }

 private:
  int64_t by_;
  uint64_t scale_;
};

struct PatchSource {
  const float* x;
  const ConvolutionShape* shape;
  Divisor out_width, out_height, run;

  PatchSource(const float* x, const ConvolutionShape* shape)
      : x(x),
        shape(shape),
        out_width(shape->out_width),
        out_height(shape->out_height),
        run(shape->kernel_width * shape->channels) {}
};

// The piece of the patch of output pixel `pixel` that begins at value `begin`, in the order (kh, kw, C), null
// outside the image; top and left may be negative. The form of PiecewiseMatrix::piece; `source` is a
// PatchSource.
const float* PatchPiece(const void* source, int64_t pixel, int64_t begin, int64_t end, int64_t* stop);

}  // namespace emu
