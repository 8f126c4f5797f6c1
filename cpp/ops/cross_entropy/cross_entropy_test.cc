#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

float Reference(const float* x, int64_t width, int64_t target) {
  double largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < width; ++i) largest = std::fmax(largest, x[i]);
  for (int64_t i = 0; i < width; ++i) sum += std::exp(x[i] - largest);
  return static_cast<float>(largest + std::log(sum) - x[target]);
}

EMU_TEST(AgreesWithPlainLoopsAndLeavesOutIgnoredTargets) {
  for (int64_t width : {1, 3, 17, 1025, 32006}) {
    test::Random random(width);
    auto x = test::RandomValues({3, width}, random);
    for (int64_t i = 0; i < 3 * width; ++i) x.f32()[i] = x.f32()[i] * 20 + 100;
    const auto target = test::Indices({3}, {static_cast<int32_t>(width - 1), -100, 0});
    const auto out = RunCall("crossEntropy", {&x, &target}, {F32Type({3})}, {}).outputs[0].Floats();
    const float first = Reference(x.f32(), width, width - 1), last = Reference(x.f32() + 2 * width, width, 0);
    EXPECT_LE(std::abs(out[0] - first), 2e-7f * std::fmax(1.0f, first));
    EXPECT_EQ(out[1], 0.0f);
    EXPECT_LE(std::abs(out[2] - last), 2e-7f * std::fmax(1.0f, last));
  }
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  test::Random random(5);
  const auto x = test::RandomValues({40, 1999}, random);
  std::vector<int32_t> targets;
  for (int row = 0; row < 40; ++row) targets.push_back(row * 31);
  const auto target = test::Indices({40}, targets);
  const auto all = RunCall("crossEntropy", {&x, &target}, {F32Type({40})}, {}, {.threads = 3});
  for (int row : {0, 13, 39}) {
    const auto one = test::Values({1, 1999}, {x.f32() + row * 1999, x.f32() + (row + 1) * 1999});
    const auto its = test::Indices({1}, {targets[row]});
    EXPECT_EQ(RunCall("crossEntropy", {&one, &its}, {F32Type({1})}, {}).outputs[0].f32()[0],
              all.outputs[0].f32()[row]);
  }
}

EMU_TEST(RefusesATargetBeyondTheVocabulary) {
  test::Random random(1);
  const auto x = test::RandomValues({2, 5}, random);
  for (int32_t wrong : {5, -1, -99, -101}) {
    const auto target = test::Indices({2}, {0, wrong});
    EXPECT_EQ(RunCall("crossEntropy", {&x, &target}, {F32Type({2})}, {}).status.message(),
              "[crossEntropy] target " + std::to_string(wrong) + " at row 1 is not in 0..4");
  }
  const auto three = test::Indices({3}, {0, 0, 0});
  EXPECT_EQ(RunCall("crossEntropy", {&x, &three}, {F32Type({2})}, {}).status.message(),
            "[crossEntropy] R is 2 in logits but 3 in target: got f32[2,5], i32[3]");
}

EMU_TEST(AnEmptyVocabularyHasOnlyIgnoredTargets) {
  const test::Tensor x(F32Type({2, 0}));
  const auto target = test::Indices({2}, {-100, -100});
  const auto out = RunCall("crossEntropy", {&x, &target}, {F32Type({2})}, {}).outputs[0].Floats();
  EXPECT_TRUE(out == std::vector<float>({0, 0}));
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
