// Reading the patch of an output pixel from a channels-last image.
#pragma once

#include "ops/convolution/convolution.h"

namespace emu {

struct PatchSource {
  const float* x;
  const ConvolutionShape* shape;
};

// The piece of the patch of output pixel `pixel` that begins at value `begin`, in the order (kh, kw, C), null
// outside the image. The form of LeftOperand::piece; `source` is a PatchSource.
const float* PatchPiece(const void* source, int64_t pixel, int64_t begin, int64_t end, int64_t* stop);

}  // namespace emu
