#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(KeepsAndAdds) {
  for (int64_t count : {0, 1, 15, 17, 70001}) {
    test::Random random(1);
    const auto state = test::RandomValues({count}, random), x = test::RandomValues({count}, random);
    const auto result = RunCall("accumulate", {&state, &x}, {x.type}, {{"keep", 0.75}, {"factor", -2.0}});
    for (int64_t i = 0; i < count; ++i) {
      EXPECT_LE(std::abs(result.outputs[0].f32()[i] - (0.75 * state.f32()[i] - 2.0 * x.f32()[i])), 3e-7);
    }
  }
}

EMU_TEST(ForgetsWhatIsNotKept) {
  const auto state = test::Values({3}, {NAN, INFINITY, 1}), x = test::Values({3}, {1, 2, 3});
  const auto result = RunCall("accumulate", {&state, &x}, {x.type}, {{"keep", 0.0}, {"factor", 1.0}});
  EXPECT_TRUE(result.outputs[0].Floats() == x.Floats());
}

EMU_TEST(RefusesOtherShapes) {
  const auto state = test::Values({3}, {1, 2, 3}), x = test::Values({1}, {1});
  EXPECT_TRUE(
      RunCall("accumulate", {&state, &x}, {state.type}, {{"keep", 1.0}, {"factor", 1.0}}).status.code() ==
      Code::kShapeMismatch);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
