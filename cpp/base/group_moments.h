// Mean and variance of the groups of a picture, by blocks of places. Only *_cpu.cc files include this.
#pragma once

#include <cmath>

#include "base/group_shape.h"
#include "base/row_vectors.h"

namespace emu::EMU_ISA {
namespace {

// Per channel: sums over the places of x, or of x - centre[c] and its square. Channels outside, so that the
// sums of a vector of channels stay in registers.
template <int kVectors>
inline void SumChannels(const float* x, int64_t places, int64_t stride, float* sums) {
  F32 total[kVectors] = {};
  for (int64_t place = 0; place < places; ++place) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) total[v] += Load(x + place * stride + v * kLanes);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) Store(sums + v * kLanes, total[v]);
}

template <int kVectors>
inline void SumCentredChannels(const float* x, int64_t places, int64_t stride, const float* centre,
                               float* sums, float* squares) {
  F32 total[kVectors] = {}, total_squares[kVectors] = {}, middle[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) middle[v] = Load(centre + v * kLanes);
  for (int64_t place = 0; place < places; ++place) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const F32 value = Load(x + place * stride + v * kLanes) - middle[v];
      total[v] += value;
      total_squares[v] += value * value;
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    Store(sums + v * kLanes, total[v]);
    Store(squares + v * kLanes, total_squares[v]);
  }
}

// The same of the `count` <= kLanes channels that begin at x.
inline void SumVector(const float* x, int64_t places, int64_t stride, int64_t count, float* sums) {
  F32 total = {};
  for (int64_t place = 0; place < places; ++place) total += LoadUpTo(x + place * stride, count);
  StoreUpTo(sums, total, count);
}

inline void SumCentredVector(const float* x, int64_t places, int64_t stride, int64_t count,
                             const float* centre, float* sums, float* squares) {
  const F32 middle = LoadUpTo(centre, count);
  F32 total = {}, total_squares = {};
  for (int64_t place = 0; place < places; ++place) {
    const F32 value = LoadUpTo(x + place * stride, count) - middle;
    total += value;
    total_squares += value * value;
  }
  StoreUpTo(sums, total, count);
  StoreUpTo(squares, total_squares, count);
}

[[maybe_unused]] inline void SumAllChannels(const float* x, int64_t places, int64_t channels, float* sums) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) SumChannels<4>(x + c, places, channels, sums + c);
  ForEachVector(channels - c, [&](int64_t d, int64_t count) {
    SumVector(x + c + d, places, channels, count, sums + c + d);
  });
}

[[maybe_unused]] inline void SumAllCentredChannels(const float* x, int64_t places, int64_t channels,
                                                   const float* centre, float* sums, float* squares) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    SumCentredChannels<4>(x + c, places, channels, centre + c, sums + c, squares + c);
  }
  ForEachVector(channels - c, [&](int64_t d, int64_t count) {
    const int64_t at = c + d;
    SumCentredVector(x + at, places, channels, count, centre + at, sums + at, squares + at);
  });
}

[[maybe_unused]] inline float SumGroup(const float* channels, int64_t width) {
  float sum = 0;
  for (int64_t c = 0; c < width; ++c) sum += channels[c];
  return sum;
}

// x: the picture's first place. moments [G]: those of this block are written. scratch: 3 C floats.
[[maybe_unused]] inline void MeasureGroups(const GroupNormShape& shape, const float* x, int64_t block,
                                           float* scratch, BlockMoments* moments) {
  const Rows rows = shape.block(block);
  const int64_t places = rows.end - rows.begin, width = shape.group_width();
  const float* from = x + rows.begin * shape.channels;
  float* centres = scratch;
  float* sums = scratch + shape.channels;
  float* squares = scratch + 2 * shape.channels;
  SumAllChannels(from, places, shape.channels, sums);
  for (int64_t group = 0; group < shape.groups; ++group) {
    const float centre = SumGroup(sums + group * width, width) / static_cast<float>(places * width);
    moments[group].centre = centre;
    for (int64_t c = 0; c < width; ++c) centres[group * width + c] = centre;
  }
  SumAllCentredChannels(from, places, shape.channels, centres, sums, squares);
  for (int64_t group = 0; group < shape.groups; ++group) {
    moments[group].sum = SumGroup(sums + group * width, width);
    moments[group].squares = SumGroup(squares + group * width, width);
  }
}

// Mean and 1 / sqrt(variance + epsilon) of one group of a picture.
struct GroupMoments {
  double mean;
  double factor;
};

// moments [blocks,G] of one picture, joined in the order of the blocks.
[[maybe_unused]] inline GroupMoments JoinMoments(const GroupNormShape& shape, const BlockMoments* moments,
                                                 int64_t group) {
  const int64_t width = shape.group_width();
  const double count = static_cast<double>(shape.places * width);
  const auto block_count = [&](int64_t block) {
    const Rows rows = shape.block(block);
    return static_cast<double>((rows.end - rows.begin) * width);
  };
  double total = 0;
  for (int64_t block = 0; block < shape.blocks; ++block) {
    const BlockMoments& part = moments[block * shape.groups + group];
    total += block_count(block) * part.centre + part.sum;
  }
  const double mean = total / count;
  double squares = 0;
  for (int64_t block = 0; block < shape.blocks; ++block) {
    const BlockMoments& part = moments[block * shape.groups + group];
    const double shift = part.centre - mean;
    squares += part.squares + 2 * shift * part.sum + block_count(block) * shift * shift;
  }
  const double variance = squares / count;
  const double factor = 1 / std::sqrt((variance > 0 ? variance : 0 * variance) + shape.epsilon);
  return {mean, factor};
}

}  // namespace
}  // namespace emu::EMU_ISA
