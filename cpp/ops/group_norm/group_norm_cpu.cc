#include "base/elementwise.h"
#include "base/group_moments.h"
#include "ops/group_norm/group_norm.h"

namespace emu::EMU_ISA {
namespace {

void Combine(const GroupNormShape& shape, const BlockMoments* moments, int64_t group, const float* weight,
             const float* bias, float* affine) {
  const int64_t width = shape.group_width();
  const auto [mean, factor] = JoinMoments(shape, moments, group);
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

const GroupNormKernels group_norm = {MeasureGroups, Combine, Apply};

}  // namespace emu::EMU_ISA
