// bfloat16: the upper half of a float.
#pragma once

#include <cstdint>
#include <cstring>

namespace emu {

struct Bf16 {
  uint16_t bits;
};

namespace {

[[maybe_unused]] inline float ToFloat(Bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

// Rounds to nearest, ties to even; NaN stays NaN.
[[maybe_unused]] inline Bf16 ToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}

}  // namespace
}  // namespace emu
