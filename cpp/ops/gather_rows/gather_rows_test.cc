#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

EMU_TEST(PicksRowsInAnyOrder) {
  for (int64_t width : {1, 17, 3000}) {
    test::Random random(width);
    const auto x = test::RandomValues({40, width}, random);
    std::vector<int32_t> rows;
    for (int n = 0; n < 70; ++n) rows.push_back(static_cast<int32_t>(random.Next() % 40));
    const auto index = test::Indices({70}, rows);
    const auto result = RunCall("gatherRows", {&x, &index}, {F32Type({70, width})}, {});
    for (int n = 0; n < 70; ++n) {
      EXPECT_TRUE(std::equal(x.f32() + rows[n] * width, x.f32() + (rows[n] + 1) * width,
                             result.outputs[0].f32() + n * width));
    }
  }
}

EMU_TEST(RefusesARowThatIsNotThere) {
  test::Random random(1);
  const auto x = test::RandomValues({4, 2}, random), index = test::Indices({2}, {3, 4});
  EXPECT_EQ(RunCall("gatherRows", {&x, &index}, {F32Type({2, 2})}, {}).status.message(),
            "[gatherRows] index 4 at row 1 is not in 0..3");
  EXPECT_EQ(RunCall("gatherRows", {&index, &index}, {F32Type({2, 2})}, {}).status.message(),
            "[gatherRows] x is i32, needs f32: got i32[2], i32[2]");
}

EMU_TEST(NoRowsAreNoWork) {
  const test::Tensor x(F32Type({0, 3})), index(test::Type(DType::kI32, {0}));
  EXPECT_TRUE(RunCall("gatherRows", {&x, &index}, {F32Type({0, 3})}, {}).status.ok());
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
