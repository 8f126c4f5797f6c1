#include "ops/rms_norm/rms_norm.h"

#include "base/test.h"

namespace emu {
namespace {

std::vector<float> Reference(const RmsNormShape& shape, const std::vector<float>& x,
                             const std::vector<float>& weight) {
  std::vector<float> out(x.size());
  for (size_t row = 0; row * shape.width < x.size(); ++row) {
    double sum = 0;
    for (int64_t d = 0; d < shape.width; ++d)
      sum += double(x[row * shape.width + d]) * x[row * shape.width + d];
    const double scale = 1 / std::sqrt(sum / shape.width + shape.epsilon);
    for (int64_t d = 0; d < shape.width; ++d) {
      out[row * shape.width + d] = static_cast<float>(x[row * shape.width + d] * scale * weight[d]);
    }
  }
  return out;
}

EMU_TEST(AgreesWithPlainLoopsAtAwkwardWidths) {
  for (int64_t width : {1, 3, 15, 16, 17, 63, 64, 65, 5120}) {
    const RmsNormShape shape = {width, 1e-6f};
    test::Random random(width);
    const auto x = random.Floats(3 * width), weight = random.Floats(width);
    std::vector<float> out(x.size());
    rms_norm_for(DetectIsa()).rows(shape, x.data(), weight.data(), {0, 3}, out.data());
    EXPECT_LE(test::RelativeError(out, Reference(shape, x, weight)), 2e-6);
  }
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  const RmsNormShape shape = {77, 1e-6f};
  test::Random random(5);
  const auto x = random.Floats(8 * 77), weight = random.Floats(77);
  std::vector<float> all(x.size()), alone(77);
  rms_norm_for(DetectIsa()).rows(shape, x.data(), weight.data(), {0, 8}, all.data());
  for (int row = 0; row < 8; ++row) {
    rms_norm_for(DetectIsa()).rows(shape, x.data() + row * 77, weight.data(), {0, 1}, alone.data());
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + row * 77));
  }
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
