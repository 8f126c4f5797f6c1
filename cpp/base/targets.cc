#include "base/targets.h"

#include "base/call_checks.h"

namespace emu {

Status CheckTargets(const char* op, const int32_t* target, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
    if (target[row] == kIgnoredTarget || (target[row] >= 0 && target[row] < width)) continue;
    return Status(Code::kInvalidOption, "[" + std::string(op) + "] target " + std::to_string(target[row]) +
                                            " at row " + std::to_string(row) + " is not in 0.." +
                                            std::to_string(width - 1));
  }
  return {};
}

}  // namespace emu
