// Sizes and moments that groupNorm and its gradient share.
#pragma once

#include "base/activation.h"
#include "base/tensor_type.h"

namespace emu {

struct GroupNormShape {
  int64_t places;
  int64_t channels;
  int64_t groups;
  int64_t places_per_block;
  int64_t blocks;
  float epsilon;
  ActivationKind activation;

  int64_t group_width() const { return channels / groups; }
  Rows block(int64_t number) const {
    const int64_t begin = number * places_per_block;
    return {begin, begin + places_per_block < places ? begin + places_per_block : places};
  }
};

struct BlockMoments {
  float centre;
  float sum;
  float squares;
};

// Reads the attributes groups, epsilon and activation, and from a picture's places and channels how it is cut
// into blocks: of 64 KiB, which are read twice and stay in the second-level cache.
Status ReadGroupNormShape(const CallTypes& call, int64_t places, int64_t channels, GroupNormShape* shape);

}  // namespace emu
