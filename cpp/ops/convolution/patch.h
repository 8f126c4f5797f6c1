// Reading the patch of an output pixel from a channels-last image.
#pragma once

#include "ops/convolution/convolution.h"

namespace emu {

struct PatchSource {
  const float* x;
  const ConvolutionShape* shape;
};

// Values [begin, end) of the patch of output pixel `pixel`, in the order (kh, kw, C), zero outside the image.
// Returns where they lie in x if they lie there in one piece; else writes them to `buffer` and returns that.
// The form of LeftOperand::read; `source` is a PatchSource.
const float* ReadPatch(const void* source, int64_t pixel, int64_t begin, int64_t end, float* buffer);

}  // namespace emu
