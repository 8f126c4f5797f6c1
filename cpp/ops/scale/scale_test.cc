#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(ScalesAndShifts) {
  for (int64_t count : {0, 1, 15, 16, 17, 100003}) {
    test::Random random(1);
    const auto x = test::RandomValues({count}, random);
    const auto result = RunCall("scale", {&x}, {x.type}, {{"factor", -2.5}, {"offset", 0.75}});
    std::vector<float> expected(count);
    for (int64_t i = 0; i < count; ++i) expected[i] = static_cast<float>(x.f32()[i] * -2.5 + 0.75);
    EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), expected), 1e-7);
    const auto other =
        RunCall("scale", {&x}, {x.type}, {{"factor", -2.5}, {"offset", 0.75}}, {.threads = 7, .order = 4});
    EXPECT_TRUE(result.outputs[0] == other.outputs[0]);
  }
}

EMU_TEST(RefusesMissingAndHugeNumbers) {
  test::Random random(1);
  const auto x = test::RandomValues({3}, random);
  EXPECT_EQ(RunCall("scale", {&x}, {x.type}, {{"factor", 1.0}}).status.message(),
            "[program] attribute offset is not a finite number");
  EXPECT_TRUE(RunCall("scale", {&x}, {x.type}, {{"factor", 1e39}, {"offset", 0.0}}).status.code() ==
              Code::kInvalidOption);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
