#include "base/group_shape.h"

#include <algorithm>

#include "base/call_checks.h"

namespace emu {
namespace {

constexpr int64_t kBlockFloats = 16384;

}  // namespace

Status ReadGroupNormShape(const CallTypes& call, int64_t places, int64_t channels, GroupNormShape* shape) {
  EMU_RETURN_IF_ERROR(ReadActivation(call, &shape->activation));
  EMU_RETURN_IF_ERROR(ReadEpsilon(call, &shape->epsilon));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "groups", 1, &shape->groups));
  shape->channels = channels;
  if (channels % shape->groups != 0) {
    return call.Refuse("groups " + std::to_string(shape->groups) + " does not divide " +
                       std::to_string(channels) + " channels");
  }
  shape->places = places;
  shape->places_per_block = std::max<int64_t>(1, kBlockFloats / std::max<int64_t>(1, channels));
  shape->blocks = (places + shape->places_per_block - 1) / shape->places_per_block;
  return {};
}

}  // namespace emu
