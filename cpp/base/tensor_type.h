// Shapes and element types. Plain data, no allocation: kernels compiled for several instruction sets use it.
#pragma once

#include <cstdint>

namespace emu {

enum class DType : uint8_t { kF64, kF32, kF16, kBf16, kI64, kI32, kU8, kBool };

constexpr int64_t BytesPerElement(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBf16:
      return 2;
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

inline constexpr int kMaxRank = 8;

struct Shape {
  int rank = 0;
  int64_t sides[kMaxRank] = {};

  int64_t operator[](int axis) const { return sides[axis]; }
  // The side `from_end` places before the last one; 0 is the last.
  int64_t last(int from_end = 0) const { return sides[rank - 1 - from_end]; }

  int64_t elements() const {
    int64_t count = 1;
    for (int axis = 0; axis < rank; ++axis) count *= sides[axis];
    return count;
  }

  // Product of the sides of axes begin..end-1.
  int64_t product(int begin, int end) const {
    int64_t count = 1;
    for (int axis = begin; axis < end; ++axis) count *= sides[axis];
    return count;
  }

  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int axis = 0; axis < rank; ++axis) {
      if (sides[axis] != other.sides[axis]) return false;
    }
    return true;
  }
};

struct TensorType {
  Shape shape;
  DType dtype = DType::kF32;

  int64_t bytes() const { return shape.elements() * BytesPerElement(dtype); }
  bool operator==(const TensorType& other) const { return dtype == other.dtype && shape == other.shape; }
};

// A half-open range of tasks or rows.
struct Rows {
  int64_t begin;
  int64_t end;
};

}  // namespace emu
