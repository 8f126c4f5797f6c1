// The attribute `precision` of products of ordinary values.
#pragma once

#include "base/op.h"

namespace emu {

// "f32" or "bf16": what both factors are rounded to first. INVALID_OPTION for anything else.
Status ReadPrecision(const CallTypes& call, DType* out);

}  // namespace emu
