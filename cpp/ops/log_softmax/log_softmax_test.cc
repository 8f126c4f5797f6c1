#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

std::vector<float> Reference(int64_t width, const std::vector<float>& x) {
  std::vector<float> out(x.size());
  for (size_t start = 0; start < x.size(); start += width) {
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < width; ++i) largest = std::fmax(largest, x[start + i]);
    for (int64_t i = 0; i < width; ++i) sum += std::exp(x[start + i] - largest);
    for (int64_t i = 0; i < width; ++i) {
      out[start + i] = static_cast<float>(x[start + i] - largest - std::log(sum));
    }
  }
  return out;
}

EMU_TEST(AgreesWithPlainLoopsWhateverTheSizeOfTheLogits) {
  for (int64_t width : {1, 2, 15, 16, 17, 63, 64, 65, 1023, 1025, 32006}) {
    for (float shift : {0.0f, 10000.0f, -10000.0f}) {
      test::Random random(width);
      auto x = test::RandomValues({3, width}, random);
      for (int64_t i = 0; i < 3 * width; ++i) x.f32()[i] = x.f32()[i] * 20 + shift;
      const auto result = RunCall("logSoftmax", {&x}, {x.type}, {});
      EXPECT_TRUE(result.status.ok());
      // A row of one element is exactly 0, hence the comparison with 1 beside the largest result.
      std::vector<float> got = result.outputs[0].Floats(), expected = Reference(width, x.Floats());
      got.push_back(1);
      expected.push_back(1);
      EXPECT_LE(test::RelativeError(got, expected), 2e-7);
    }
  }
}

EMU_TEST(InfinitiesAndNaNGoWhereTheReferenceSendsThem) {
  const float inf = INFINITY;
  const auto x = test::Values({4, 3}, {1, -inf, 1, inf, 2, 3, -inf, -inf, -inf, NAN, 1, 2});
  const auto out = RunCall("logSoftmax", {&x}, {x.type}, {}).outputs[0].Floats();
  EXPECT_LE(std::abs(out[0] + std::log(2.0f)), 1e-6f);
  EXPECT_EQ(out[1], -inf);
  EXPECT_TRUE(std::isnan(out[3]));
  EXPECT_EQ(out[4], -inf);
  for (int i = 6; i < 12; ++i) EXPECT_TRUE(std::isnan(out[i]));
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  test::Random random(5);
  const auto x = test::RandomValues({20, 2077}, random);
  const auto all = RunCall("logSoftmax", {&x}, {x.type}, {}, {.threads = 3});
  for (int row : {0, 7, 19}) {
    const auto one = test::Values({1, 2077}, {x.f32() + row * 2077, x.f32() + (row + 1) * 2077});
    const auto alone = RunCall("logSoftmax", {&one}, {one.type}, {});
    EXPECT_TRUE(
        std::equal(alone.outputs[0].f32(), alone.outputs[0].f32() + 2077, all.outputs[0].f32() + row * 2077));
  }
}

EMU_TEST(RefusesAScalar) {
  const auto x = test::Values({}, {1});
  EXPECT_EQ(RunCall("logSoftmax", {&x}, {x.type}, {}).status.message(),
            "[logSoftmax] x has 0 axes, needs [...,V]: got f32[]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
