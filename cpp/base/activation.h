// The scalar functions that products and norms apply to their result: one enum for every op's `activation`
// attribute. Their vector forms are in base/vector_math.h.
#pragma once

#include <cstdint>

namespace emu {

enum class ActivationKind : uint8_t { kNone, kGelu, kQuickGelu, kRelu, kSilu };

// Returns false if the name is none of: none, gelu, quickGelu, relu, silu.
bool ActivationFromName(const char* name, ActivationKind* out);

class Status;
struct CallTypes;

// Reads the call's attribute `activation`. INVALID_OPTION with the op's name and the value when it is missing
// or unknown.
Status ReadActivation(const CallTypes& call, ActivationKind* out);

}  // namespace emu
