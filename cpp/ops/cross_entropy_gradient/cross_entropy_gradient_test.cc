#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;
using test::Tensor;

test::CallResult Run(const Tensor& logits, const Tensor& target, const Tensor& dy,
                     const test::CallOptions& options = {}) {
  return RunCall("crossEntropyGradient", {&logits, &target, &dy}, {logits.type}, {}, options);
}

EMU_TEST(AgreesWithPlainLoopsAndLeavesOutIgnoredTargets) {
  for (int64_t width : {1, 3, 17, 1025, 32006}) {
    test::Random random(width);
    auto x = test::RandomValues({3, width}, random);
    const auto dy = test::RandomValues({3}, random);
    for (int64_t i = 0; i < 3 * width; ++i) x.f32()[i] = x.f32()[i] * 20 + 100;
    const int32_t targets[] = {static_cast<int32_t>(width - 1), -100, 0};
    const auto result = Run(x, test::Indices({3}, {targets, targets + 3}), dy);
    for (int64_t row = 0; row < 3; ++row) {
      double total = 0;
      for (int64_t i = 0; i < width; ++i) total += std::exp(double(x.f32()[row * width + i]) - 100);
      for (int64_t i = 0; i < width; ++i) {
        const double share = std::exp(double(x.f32()[row * width + i]) - 100) / total;
        const double expected = targets[row] == -100 ? 0 : dy.f32()[row] * (share - (i == targets[row]));
        EXPECT_LE(std::abs(result.outputs[0].f32()[row * width + i] - expected), 4e-7);
      }
    }
  }
}

EMU_TEST(MayWriteOverTheLogits) {
  for (int64_t width : {1, 17, 1025, 5000}) {
    test::Random random(width);
    const auto x = test::RandomValues({3, width}, random), dy = test::RandomValues({3}, random);
    const int32_t targets[] = {static_cast<int32_t>(width / 2), -100, 0};
    const auto target = test::Indices({3}, {targets, targets + 3});
    EXPECT_TRUE(Run(x, target, dy).outputs[0] == Run(x, target, dy, {.reuse_input = true}).outputs[0]);
  }
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  test::Random random(5);
  const auto x = test::RandomValues({40, 1999}, random), dy = test::RandomValues({40}, random);
  std::vector<int32_t> targets;
  for (int row = 0; row < 40; ++row) targets.push_back(row * 31);
  const auto all = Run(x, test::Indices({40}, targets), dy, {.threads = 3});
  for (int row : {0, 13, 39}) {
    const auto one = test::Values({1, 1999}, {x.f32() + row * 1999, x.f32() + (row + 1) * 1999});
    const auto alone = Run(one, test::Indices({1}, {targets[row]}), test::Values({1}, {dy.f32()[row]}));
    EXPECT_TRUE(
        std::equal(alone.outputs[0].f32(), alone.outputs[0].f32() + 1999, all.outputs[0].f32() + row * 1999));
  }
}

EMU_TEST(RefusesATargetBeyondTheVocabulary) {
  test::Random random(1);
  const auto x = test::RandomValues({2, 5}, random), dy = test::RandomValues({2}, random);
  for (int32_t wrong : {5, -1, -99, -101}) {
    EXPECT_EQ(Run(x, test::Indices({2}, {0, wrong}), dy).status.message(),
              "[crossEntropyGradient] target " + std::to_string(wrong) + " at row 1 is not in 0..4");
  }
}

EMU_TEST(AnEmptyVocabularyHasNoGradient) {
  const Tensor x(test::F32Type({2, 0})), dy(test::F32Type({2}));
  EXPECT_TRUE(Run(x, test::Indices({2}, {-100, -100}), dy).status.ok());
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
