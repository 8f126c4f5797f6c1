#include "runtime/weight_source.h"

#include <algorithm>
#include <cstring>

#include "base/bf16.h"

namespace emu {
namespace {

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * (1.0f / 16777216.0f);
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (fraction << 13);
  float out;
  std::memcpy(&out, &wide, 4);
  return out;
}

template <typename T>
T At(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// One stored element as a double, which holds every dtype but the largest i64 exactly.
double Element(const std::byte* data, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::kF64:
      return At<double>(data, index);
    case DType::kF32:
      return At<float>(data, index);
    case DType::kF16:
      return HalfToFloat(At<uint16_t>(data, index));
    case DType::kBf16:
      return ToFloat(At<Bf16>(data, index));
    case DType::kI64:
      return static_cast<double>(At<int64_t>(data, index));
    case DType::kI32:
      return At<int32_t>(data, index);
    case DType::kU8:
    case DType::kBool:
      return At<uint8_t>(data, index);
  }
  return 0;
}

void Put(double value, DType wanted, int64_t index, void* out) {
  switch (wanted) {
    case DType::kBf16:
      static_cast<Bf16*>(out)[index] = ToBf16(static_cast<float>(value));
      return;
    case DType::kI32:
      static_cast<int32_t*>(out)[index] = static_cast<int32_t>(value);
      return;
    case DType::kU8:
      static_cast<uint8_t*>(out)[index] = static_cast<uint8_t>(value);
      return;
    default:
      static_cast<float*>(out)[index] = static_cast<float>(value);
  }
}

void ConvertRun(const std::byte* data, DType stored, int64_t count, DType wanted, void* out) {
  if (stored == wanted) {
    std::memcpy(out, data, static_cast<size_t>(count * BytesPerElement(wanted)));
  } else if (stored == DType::kBf16 && wanted == DType::kF32) {
    for (int64_t i = 0; i < count; ++i) static_cast<float*>(out)[i] = ToFloat(At<Bf16>(data, i));
  } else if (stored == DType::kF32 && wanted == DType::kBf16) {
    for (int64_t i = 0; i < count; ++i) static_cast<Bf16*>(out)[i] = ToBf16(At<float>(data, i));
  } else {
    for (int64_t i = 0; i < count; ++i) Put(Element(data, stored, i), wanted, i, out);
  }
}

}  // namespace

Status WeightSource::Check(DType stored, DType wanted) {
  const bool known =
      wanted == DType::kF32 || wanted == DType::kBf16 || wanted == DType::kI32 || wanted == DType::kU8;
  if (known && (stored != DType::kBool || wanted == DType::kU8)) return {};
  return Status(Code::kInvalidOption, "[weights] a weight of this dtype cannot be converted as asked");
}

bool WeightSource::RowMajor(const Shape& shape) const { return strides == RowMajorStrides(shape); }

void WeightSource::Read(const Shape& shape, int64_t begin, int64_t count, DType wanted, void* out) const {
  const int64_t size = BytesPerElement(dtype);
  if (RowMajor(shape)) {
    ConvertRun(data + begin * size, dtype, count, wanted, out);
    return;
  }
  int64_t index[kMaxRank] = {};
  int64_t rest = begin;
  for (int axis = shape.rank - 1; axis >= 0; --axis) {
    index[axis] = rest % shape[axis];
    rest /= shape[axis];
  }
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (int axis = 0; axis < shape.rank; ++axis) at += index[axis] * strides[axis];
    Put(Element(data, dtype, at), wanted, i, out);
    for (int axis = shape.rank - 1; axis >= 0 && ++index[axis] == shape[axis]; --axis) index[axis] = 0;
  }
}

int64_t Extent(const Shape& shape, const std::vector<int64_t>& strides) {
  if (static_cast<int>(strides.size()) != shape.rank) return -1;
  if (shape.elements() == 0) return 0;
  int64_t extent = 1;
  for (int axis = 0; axis < shape.rank; ++axis) {
    int64_t span = 0;
    if (strides[axis] < 0 || __builtin_mul_overflow(shape[axis] - 1, strides[axis], &span) ||
        __builtin_add_overflow(extent, span, &extent)) {
      return -1;
    }
  }
  return extent;
}

std::vector<int64_t> RowMajorStrides(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank), 1);
  for (int axis = shape.rank - 2; axis >= 0; --axis) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

}  // namespace emu
