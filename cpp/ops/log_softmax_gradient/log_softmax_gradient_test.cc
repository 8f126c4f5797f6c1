#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(AgreesWithPlainLoopsAtAwkwardWidths) {
  for (int64_t width : {1, 3, 15, 16, 17, 65, 1001, 32006}) {
    test::Random random(width);
    const auto x = test::RandomValues({3, width}, random), dy = test::RandomValues({3, width}, random);
    const auto y = RunCall("logSoftmax", {&x}, {x.type}, {}).outputs[0];
    const auto result = RunCall("logSoftmaxGradient", {&y, &dy}, {y.type}, {});
    std::vector<float> expected;
    for (int64_t row = 0; row < 3; ++row) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += dy.f32()[row * width + i];
      for (int64_t i = row * width; i < (row + 1) * width; ++i) {
        expected.push_back(static_cast<float>(dy.f32()[i] - std::exp(double(y.f32()[i])) * sum));
      }
    }
    const auto found = result.outputs[0].Floats();
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_LE(std::abs(found[i] - expected[i]), 2e-6);
  }
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  test::Random random(5);
  const auto y = test::RandomValues({40, 777}, random), dy = test::RandomValues({40, 777}, random);
  const auto all = RunCall("logSoftmaxGradient", {&y, &dy}, {y.type}, {}, {.threads = 3});
  for (int row : {0, 13, 39}) {
    const auto one = test::Values({1, 777}, {y.f32() + row * 777, y.f32() + (row + 1) * 777});
    const auto its = test::Values({1, 777}, {dy.f32() + row * 777, dy.f32() + (row + 1) * 777});
    const auto alone = RunCall("logSoftmaxGradient", {&one, &its}, {one.type}, {});
    EXPECT_TRUE(
        std::equal(alone.outputs[0].f32(), alone.outputs[0].f32() + 777, all.outputs[0].f32() + row * 777));
  }
}

EMU_TEST(RefusesAxesThatDiffer) {
  test::Random random(1);
  const auto y = test::RandomValues({2, 5}, random), dy = test::RandomValues({3, 5}, random);
  EXPECT_EQ(RunCall("logSoftmaxGradient", {&y, &dy}, {y.type}, {}).status.message(),
            "[logSoftmaxGradient] axes [2] of y are not [3] of dy: got f32[2,5], f32[3,5]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
