#include <algorithm>

#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

EMU_TEST(BringsBackTargetsWithZerosForMinusOneAndForAllButTheLastOfEqualTargets) {
  for (int64_t width : {1, 19, 2000}) {
    test::Random random(width);
    const auto dy = test::RandomValues({30, width}, random);
    const std::vector<int32_t> targets = {29, -1, 3, 0, 3};
    const auto target = test::Indices({5}, targets);
    const auto result = RunCall("replaceRowsGradient", {&dy, &target}, {F32Type({5, width})}, {});
    std::vector<float> expected(5 * width);
    for (int n : {0, 3, 4}) {
      const float* row = dy.f32() + targets[n] * width;
      std::copy(row, row + width, expected.begin() + n * width);
    }
    EXPECT_TRUE(result.outputs[0].Floats() == expected);
  }
}

EMU_TEST(RefusesATargetThatIsNotThere) {
  test::Random random(1);
  const auto dy = test::RandomValues({4, 2}, random);
  const auto high = test::Indices({1}, {4});
  EXPECT_EQ(RunCall("replaceRowsGradient", {&dy, &high}, {F32Type({1, 2})}, {}).status.message(),
            "[replaceRowsGradient] target 4 at row 0 is not in -1..3");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
