// Target classes of crossEntropy and its gradient.
#pragma once

#include <cstdint>

namespace emu {

class Status;

// The target of a row that does not count.
inline constexpr int32_t kIgnoredTarget = -100;

// INVALID_OPTION `[op] target value at row r is not in 0..width-1` for the first target that is neither that
// nor -100.
Status CheckTargets(const char* op, const int32_t* target, int64_t rows, int64_t width);

}  // namespace emu
