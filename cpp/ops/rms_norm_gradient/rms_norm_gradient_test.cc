#include "base/test_call.h"

namespace emu {
namespace {

using test::RandomValues;
using test::RunCall;
using test::Tensor;

test::CallResult Run(const Tensor& x, const Tensor& weight, const Tensor& dy,
                     const test::CallOptions& options = {}) {
  return RunCall("rmsNormGradient", {&x, &weight, &dy}, {x.type, weight.type}, {{"epsilon", 1e-6}}, options);
}

EMU_TEST(AgreesWithPlainLoopsAtAwkwardWidthsAndBlocks) {
  for (int64_t width : {1, 3, 15, 16, 17, 63, 65, 255, 2050}) {
    for (int64_t rows : {1, 32, 33, 70}) {
      test::Random random(width + rows);
      const auto x = RandomValues({rows, width}, random), weight = RandomValues({width}, random),
                 dy = RandomValues({rows, width}, random);
      std::vector<double> dweight(static_cast<size_t>(width));
      std::vector<float> dx;
      for (int64_t row = 0; row < rows; ++row) {
        const float *from = x.f32() + row * width, *error = dy.f32() + row * width;
        double squares = 0, along = 0;
        for (int64_t d = 0; d < width; ++d) squares += double(from[d]) * from[d];
        const double factor = 1 / std::sqrt(squares / width + 1e-6);
        for (int64_t d = 0; d < width; ++d)
          along += double(weight.f32()[d]) * error[d] * from[d] * factor / width;
        for (int64_t d = 0; d < width; ++d) {
          const double slope = double(weight.f32()[d]) * error[d];
          dx.push_back(static_cast<float>(factor * (slope - from[d] * factor * along)));
          dweight[d] += error[d] * (from[d] * factor);
        }
      }
      const auto result = Run(x, weight, dy);
      EXPECT_EQ(result.status.message(), "");
      // In a row of one element the two parts of dx cancel.
      if (width > 1) EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), dx), 2e-6);
      EXPECT_LE(test::RelativeError(result.outputs[1].Floats(), {dweight.begin(), dweight.end()}), 2e-6);
    }
  }
}

EMU_TEST(ThreadsAndTaskOrderDoNotChangeABit) {
  test::Random random(5);
  const auto x = RandomValues({300, 1030}, random), weight = RandomValues({1030}, random),
             dy = RandomValues({300, 1030}, random);
  const auto one = Run(x, weight, dy, {.threads = 1});
  for (int threads : {2, 7}) {
    const auto other = Run(x, weight, dy, {.threads = threads, .order = 11u + threads});
    EXPECT_TRUE(one.outputs[0] == other.outputs[0]);
    EXPECT_TRUE(one.outputs[1] == other.outputs[1]);
  }
}

EMU_TEST(NoRowsGiveTheWeightAGradientOfZeros) {
  test::Random random(1);
  const auto x = RandomValues({0, 8}, random), weight = RandomValues({8}, random);
  const auto result = Run(x, weight, x);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(result.outputs[1].f32()[i], 0.0f);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
