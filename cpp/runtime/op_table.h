// The op list of this core.
#pragma once

#include <string>
#include <vector>

#include "base/op.h"

namespace emu {

// The op of that name, or null.
const OpImplementation* FindOp(const std::string& name);
const std::vector<OpImplementation>& AllOps();

}  // namespace emu
