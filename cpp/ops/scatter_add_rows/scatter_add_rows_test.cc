#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(SumsRowsInTheirOrder) {
  for (int64_t width : {0, 1, 17, 64, 700}) {
    for (int64_t rows : {0, 1, 301}) {
      test::Random random(1);
      const auto x = test::RandomValues({rows, width}, random);
      std::vector<int32_t> targets(static_cast<size_t>(rows));
      for (int32_t& target : targets) target = static_cast<int32_t>(random.Next() % 51) - 1;
      const auto index = test::Indices({rows}, targets);
      std::vector<float> expected(static_cast<size_t>(50 * width), 0.0f);
      for (int64_t n = 0; n < rows; ++n) {
        if (targets[static_cast<size_t>(n)] < 0) continue;
        for (int64_t d = 0; d < width; ++d) {
          expected[static_cast<size_t>(targets[static_cast<size_t>(n)] * width + d)] +=
              x.f32()[n * width + d];
        }
      }
      const auto result =
          RunCall("scatterAddRows", {&x, &index}, {test::F32Type({50, width})}, {{"count", 50.0}});
      EXPECT_TRUE(result.outputs[0].Floats() == expected);
    }
  }
}

EMU_TEST(RefusesIndicesOutOfRange) {
  const auto x = test::Values({2, 1}, {1, 2});
  const auto index = test::Indices({2}, {0, 3});
  EXPECT_EQ(
      RunCall("scatterAddRows", {&x, &index}, {test::F32Type({3, 1})}, {{"count", 3.0}}).status.message(),
      "[scatterAddRows] index 3 at row 1 is not in -1..2");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
