// How ops that sum over rows cut them: into blocks whose size is part of what a result is, to the bit.
#pragma once

#include <cstdint>

#include "base/tensor_type.h"

namespace emu {

// Rows whose sum is one partial sum: few enough to share the work of a small batch, enough that the partial
// sums are small beside the rows.
inline constexpr int64_t kRowsPerBlock = 32;
// Columns of one task that adds up the partial sums.
inline constexpr int64_t kColumnsPerTask = 1024;

struct RowBlocks {
  int64_t rows;
  int64_t blocks() const { return (rows + kRowsPerBlock - 1) / kRowsPerBlock; }
  Rows block(int64_t number) const {
    const int64_t begin = number * kRowsPerBlock;
    return {begin, begin + kRowsPerBlock < rows ? begin + kRowsPerBlock : rows};
  }
};

inline int64_t ColumnTasks(int64_t width) { return (width + kColumnsPerTask - 1) / kColumnsPerTask; }
inline Rows ColumnsOfTask(int64_t task, int64_t width) {
  const int64_t begin = task * kColumnsPerTask;
  return {begin, begin + kColumnsPerTask < width ? begin + kColumnsPerTask : width};
}

}  // namespace emu
