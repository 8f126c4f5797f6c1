#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RandomValues;
using test::RunCall;

std::vector<float> Reference(int64_t width, double epsilon, const std::vector<float>& x,
                             const std::vector<float>& weight, const std::vector<float>& bias) {
  std::vector<float> out(x.size());
  for (size_t start = 0; start < x.size(); start += width) {
    double mean = 0, squares = 0;
    for (int64_t d = 0; d < width; ++d) mean += x[start + d];
    mean /= width;
    for (int64_t d = 0; d < width; ++d) squares += (x[start + d] - mean) * (x[start + d] - mean);
    const double factor = 1 / std::sqrt(squares / width + epsilon);
    for (int64_t d = 0; d < width; ++d) {
      out[start + d] = static_cast<float>((x[start + d] - mean) * factor * weight[d] + bias[d]);
    }
  }
  return out;
}

EMU_TEST(AgreesWithPlainLoopsAtAwkwardWidths) {
  for (int64_t width : {1, 3, 15, 16, 17, 63, 64, 65, 255, 1408, 5120}) {
    test::Random random(width);
    const auto x = RandomValues({3, width}, random), weight = RandomValues({width}, random),
               bias = RandomValues({width}, random);
    const auto result = RunCall("layerNorm", {&x, &weight, &bias}, {x.type}, {{"epsilon", 1e-5}});
    EXPECT_TRUE(result.status.ok());
    const auto expected = Reference(width, 1e-5, x.Floats(), weight.Floats(), bias.Floats());
    EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), expected), 1e-6);
  }
}

EMU_TEST(StaysAccurateWhereTheMeanIsAThousandDeviations) {
  test::Random random(1);
  const int64_t width = 1408;
  auto x = RandomValues({2, width}, random);
  for (int64_t i = 0; i < 2 * width; ++i) x.f32()[i] = 1000 + x.f32()[i];
  const auto weight = RandomValues({width}, random), bias = RandomValues({width}, random);
  const auto result = RunCall("layerNorm", {&x, &weight, &bias}, {x.type}, {{"epsilon", 1e-5}});
  const auto expected = Reference(width, 1e-5, x.Floats(), weight.Floats(), bias.Floats());
  EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), expected), 1e-6);
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  test::Random random(5);
  const auto weight = RandomValues({77}, random), bias = RandomValues({77}, random);
  const auto x = RandomValues({900, 77}, random);
  const auto all = RunCall("layerNorm", {&x, &weight, &bias}, {x.type}, {{"epsilon", 1e-6}});
  for (int row : {0, 1, 450, 899}) {
    const auto one = test::Values({1, 77}, {x.f32() + row * 77, x.f32() + (row + 1) * 77});
    const auto alone = RunCall("layerNorm", {&one, &weight, &bias}, {one.type}, {{"epsilon", 1e-6}});
    EXPECT_TRUE(
        std::equal(alone.outputs[0].f32(), alone.outputs[0].f32() + 77, all.outputs[0].f32() + row * 77));
  }
}

EMU_TEST(RefusesWeightsOfAnotherWidthAndANegativeEpsilon) {
  test::Random random(1);
  const auto x = RandomValues({2, 8}, random), short_row = RandomValues({7}, random),
             row = RandomValues({8}, random);
  const auto message = [&](const std::vector<const test::Tensor*>& inputs, double epsilon) {
    return RunCall("layerNorm", inputs, {x.type}, {{"epsilon", epsilon}}).status.message();
  };
  EXPECT_EQ(message({&x, &row, &short_row}, 0),
            "[layerNorm] D is 8 in x but 7 in bias: got f32[2,8], f32[8], f32[7]");
  EXPECT_EQ(message({&x, &row, nullptr}, 0),
            "[layerNorm] input 2 (bias) is missing: got f32[2,8], f32[8], _");
  EXPECT_EQ(message({&x, &row}, 0),
            "[layerNorm] takes 3 inputs (x, weight, bias), got 2: got f32[2,8], f32[8]");
  EXPECT_EQ(message({&x, &row, &row}, -1), "[layerNorm] epsilon -1 is not a number of at least 0");
}

EMU_TEST(ManyEmptyRowsTakeNoTime) {
  const TensorType type = F32Type({int64_t{1} << 40, 0});
  const test::Tensor x(type), row(F32Type({0}));
  EXPECT_TRUE(RunCall("layerNorm", {&x, &row, &row}, {type}, {{"epsilon", 0.0}}).status.ok());
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
