#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(ReplacesTargetsSkipsMinusOneAndKeepsTheLastOfEqualTargets) {
  for (int64_t width : {1, 19, 2000}) {
    test::Random random(width);
    const auto x = test::RandomValues({30, width}, random), rows = test::RandomValues({5, width}, random);
    const std::vector<int32_t> targets = {29, -1, 3, 0, 3};
    const auto target = test::Indices({5}, targets);
    const auto result = RunCall("replaceRows", {&x, &rows, &target}, {x.type}, {});
    std::vector<float> expected = x.Floats();
    for (int n = 0; n < 5; ++n) {
      if (targets[n] < 0) continue;
      std::copy(rows.f32() + n * width, rows.f32() + (n + 1) * width, expected.begin() + targets[n] * width);
    }
    EXPECT_TRUE(result.outputs[0].Floats() == expected);
  }
}

EMU_TEST(RefusesATargetThatIsNotThere) {
  test::Random random(1);
  const auto x = test::RandomValues({4, 2}, random), rows = test::RandomValues({1, 2}, random);
  const auto high = test::Indices({1}, {4}), low = test::Indices({1}, {-2}), two = test::Indices({2}, {0, 1});
  EXPECT_EQ(RunCall("replaceRows", {&x, &rows, &high}, {x.type}, {}).status.message(),
            "[replaceRows] target 4 at row 0 is not in -1..3");
  EXPECT_EQ(RunCall("replaceRows", {&x, &rows, &low}, {x.type}, {}).status.message(),
            "[replaceRows] target -2 at row 0 is not in -1..3");
  EXPECT_EQ(RunCall("replaceRows", {&x, &rows, &two}, {x.type}, {}).status.message(),
            "[replaceRows] N is 1 in rows but 2 in target: got f32[4,2], f32[1,2], i32[2]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
