// The elements of a weight wherever they come from: row by row, converted to the dtype the session keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/status.h"
#include "base/tensor_type.h"

namespace emu {

// A strided view of stored elements. Strides are in elements.
struct WeightSource {
  const std::byte* data = nullptr;  // element 0
  DType dtype = DType::kF32;
  std::vector<int64_t> strides;

  // INVALID_OPTION for a stored dtype that is no float or integer we convert from.
  static Status Check(DType stored, DType wanted);

  bool RowMajor(const Shape& shape) const;

  // Copies `count` elements that start at flat row-major index `begin` of a tensor of `shape`, converting to
  // `dtype` (f32, bf16, i32 or u8).
  void Read(const Shape& shape, int64_t begin, int64_t count, DType wanted, void* out) const;
};

// Number of elements from the first to the last one that the view touches; -1 when strides are negative, of
// the wrong number, or the count overflows.
int64_t Extent(const Shape& shape, const std::vector<int64_t>& strides);

std::vector<int64_t> RowMajorStrides(const Shape& shape);

}  // namespace emu
