#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(IsTheMeanOfSquares) {
  for (int64_t width : {1, 15, 17, 33, 1024, 5000}) {
    test::Random random(1);
    const auto a = test::RandomValues({7, width}, random), b = test::RandomValues({7, width}, random);
    const auto result = RunCall("squaredError", {&a, &b}, {test::F32Type({7})}, {});
    for (int64_t row = 0; row < 7; ++row) {
      double sum = 0;
      for (int64_t d = 0; d < width; ++d) {
        sum += std::pow(static_cast<double>(a.f32()[row * width + d]) - b.f32()[row * width + d], 2);
      }
      EXPECT_LE(std::abs(result.outputs[0].f32()[row] - sum / static_cast<double>(width)), 1e-6);
    }
  }
}

EMU_TEST(RefusesEmptyRows) {
  const auto a = test::Values({2, 0}, {});
  EXPECT_EQ(RunCall("squaredError", {&a, &a}, {test::F32Type({2})}, {}).status.message(),
            "[squaredError] a mean needs at least one element in a row: got f32[2,0], f32[2,0]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
