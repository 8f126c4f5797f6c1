#include <cmath>

#include "base/elementwise.h"
#include "ops/group_norm/group_norm.h"

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

void SumAllChannels(const float* x, int64_t places, int64_t channels, float* sums) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) SumChannels<4>(x + c, places, channels, sums + c);
  for (; c + kLanes <= channels; c += kLanes) SumChannels<1>(x + c, places, channels, sums + c);
  for (; c < channels; ++c) {
    float total = 0;
    for (int64_t place = 0; place < places; ++place) total += x[place * channels + c];
    sums[c] = total;
  }
}

void SumAllCentredChannels(const float* x, int64_t places, int64_t channels, const float* centre, float* sums,
                           float* squares) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    SumCentredChannels<4>(x + c, places, channels, centre + c, sums + c, squares + c);
  }
  for (; c + kLanes <= channels; c += kLanes) {
    SumCentredChannels<1>(x + c, places, channels, centre + c, sums + c, squares + c);
  }
  for (; c < channels; ++c) {
    float total = 0, total_squares = 0;
    for (int64_t place = 0; place < places; ++place) {
      const float value = x[place * channels + c] - centre[c];
      total += value;
      total_squares += value * value;
    }
    sums[c] = total;
    squares[c] = total_squares;
  }
}

float SumGroup(const float* channels, int64_t width) {
  float sum = 0;
  for (int64_t c = 0; c < width; ++c) sum += channels[c];
  return sum;
}

void Measure(const GroupNormShape& shape, const float* x, int64_t block, float* scratch,
             BlockMoments* moments) {
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

void Combine(const GroupNormShape& shape, const BlockMoments* moments, int64_t group, const float* weight,
             const float* bias, float* affine) {
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
  const float centre = static_cast<float>(mean);
  for (int64_t c = group * width; c < (group + 1) * width; ++c) {
    affine[c] = centre;
    affine[shape.channels + c] = static_cast<float>(factor * weight[c]);
    affine[2 * shape.channels + c] = static_cast<float>(bias[c] + (centre - mean) * factor * weight[c]);
  }
}

template <typename Act>
inline void ApplyPlace(const float* x, const float* affine, int64_t channels, float* out, Act act) {
  const float *centre = affine, *factor = affine + channels, *offset = affine + 2 * channels;
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    Store(out + c, act((Load(x + c) - Load(centre + c)) * Load(factor + c) + Load(offset + c)));
  }
  if (const int64_t rest = channels - c; rest > 0) {
    const F32 centred = LoadFirst(x + c, rest) - LoadFirst(centre + c, rest);
    StoreFirst(out + c, act(centred * LoadFirst(factor + c, rest) + LoadFirst(offset + c, rest)), rest);
  }
}

void Apply(const GroupNormShape& shape, const float* x, int64_t block, const float* affine, float* out) {
  const Rows rows = shape.block(block);
  WithActivation(shape.activation, [&](auto act) {
    for (int64_t place = rows.begin; place < rows.end; ++place) {
      ApplyPlace(x + place * shape.channels, affine, shape.channels, out + place * shape.channels, act);
    }
  });
}

}  // namespace

const GroupNormKernels group_norm = {Measure, Combine, Apply};

}  // namespace emu::EMU_ISA
