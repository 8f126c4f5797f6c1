#include "base/activation_derivative.h"
#include "base/block_sums.h"
#include "base/group_moments.h"
#include "base/row_moments.h"
#include "ops/group_norm_gradient/group_norm_gradient.h"

namespace emu::EMU_ISA {
namespace {

using Row = GroupNormGradientRows;

void Centre(const GroupNormShape& shape, const BlockMoments* moments, int64_t group, float* rows) {
  const auto [mean, factor] = JoinMoments(shape, moments, group);
  const float centre = static_cast<float>(mean);
  for (int64_t c = group * shape.group_width(); c < (group + 1) * shape.group_width(); ++c) {
    rows[Row::kCentre * shape.channels + c] = centre;
    rows[Row::kCorrection * shape.channels + c] = static_cast<float>(mean - centre);
    rows[Row::kFactor * shape.channels + c] = static_cast<float>(factor);
  }
}

// n of the vector of channels that begins at c.
struct Normal {
  F32 centre, correction, factor;
  Normal(const float* rows, int64_t channels, int64_t c, int64_t count)
      : centre(LoadUpTo(rows + Row::kCentre * channels + c, count)),
        correction(LoadUpTo(rows + Row::kCorrection * channels + c, count)),
        factor(LoadUpTo(rows + Row::kFactor * channels + c, count)) {}
  F32 operator()(F32 x) const { return ((x - centre) - correction) * factor; }
};

// Channels outside, so that the sums of a vector of channels stay in registers.
void Spread(const GroupNormShape& shape, const float* x, const float* weight, const float* bias,
            const float* dy, int64_t block, const float* rows, float* dx, float* partial) {
  const Rows places = shape.block(block);
  const int64_t channels = shape.channels;
  WithDerivative(shape.activation, [&](auto derivative) {
    ForEachVector(channels, [&](int64_t c, int64_t count) {
      const Normal normal_of(rows, channels, c, count);
      const F32 w = LoadUpTo(weight + c, count), b = LoadUpTo(bias + c, count);
      F32 weight_sum = {}, bias_sum = {};
      for (int64_t place = places.begin; place < places.end; ++place) {
        const int64_t at = place * channels + c;
        const F32 normal = normal_of(LoadUpTo(x + at, count));
        const F32 error = LoadUpTo(dy + at, count) * derivative(normal * w + b);
        StoreUpTo(dx + at, error, count);
        weight_sum += error * normal;
        bias_sum += error;
      }
      StoreUpTo(partial + c, weight_sum, count);
      StoreUpTo(partial + channels + c, bias_sum, count);
    });
  });
}

void Level(const GroupNormShape& shape, const float* partial, const float* weight, int64_t group,
           float* rows) {
  const int64_t channels = shape.channels, width = shape.group_width();
  double level = 0, along = 0;
  for (int64_t c = group * width; c < (group + 1) * width; ++c) {
    double weight_sum = 0, bias_sum = 0;
    for (int64_t block = 0; block < shape.blocks; ++block) {
      weight_sum += partial[block * 2 * channels + c];
      bias_sum += partial[(block * 2 + 1) * channels + c];
    }
    along += weight_sum * weight[c];
    level += bias_sum * weight[c];
    rows[Row::kWeightSum * channels + c] = static_cast<float>(weight_sum);
    rows[Row::kBiasSum * channels + c] = static_cast<float>(bias_sum);
  }
  const double count = static_cast<double>(shape.places * width);
  for (int64_t c = group * width; c < (group + 1) * width; ++c) {
    rows[Row::kLevel * channels + c] = static_cast<float>(level / count);
    rows[Row::kAlong * channels + c] = static_cast<float>(along / count);
  }
}

void Apply(const GroupNormShape& shape, const float* x, const float* weight, int64_t block, const float* rows,
           float* dx) {
  const Rows places = shape.block(block);
  const int64_t channels = shape.channels;
  ForEachVector(channels, [&](int64_t c, int64_t count) {
    const Normal normal_of(rows, channels, c, count);
    const F32 w = LoadUpTo(weight + c, count), level = LoadUpTo(rows + Row::kLevel * channels + c, count),
              along = LoadUpTo(rows + Row::kAlong * channels + c, count);
    for (int64_t place = places.begin; place < places.end; ++place) {
      const int64_t at = place * channels + c;
      const F32 normal = normal_of(LoadUpTo(x + at, count));
      StoreUpTo(dx + at, ((w * LoadUpTo(dx + at, count) - level) - normal * along) * normal_of.factor, count);
    }
  });
}

}  // namespace

const GroupNormGradientKernels group_norm_gradient = {MeasureGroups, Centre, Spread, Level, Apply, SumBlocks};

}  // namespace emu::EMU_ISA
