#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;
using test::Type;

EMU_TEST(RoundsToNearestEvenAndWidensExactly) {
  for (int64_t count : {0, 1, 31, 32, 33, 50001}) {
    test::Random random(count);
    const auto x = test::RandomValues({count}, random);
    const auto rounded = RunCall("cast", {&x}, {Type(DType::kBf16, {count})}, {{"dtype", "bf16"}});
    EXPECT_TRUE(rounded.outputs[0].bytes == test::ValuesBf16({count}, x.Floats()).bytes);
    const auto widened = RunCall("cast", {&rounded.outputs[0]}, {x.type}, {{"dtype", "f32"}});
    EXPECT_TRUE(widened.outputs[0].Floats() == rounded.outputs[0].Floats());
  }
}

EMU_TEST(TiesGoToEvenAndNaNStaysNaN) {
  const auto x = test::Values({5}, {1.00390625f, 1.01171875f, INFINITY, NAN, -0.0f});
  const auto out = RunCall("cast", {&x}, {Type(DType::kBf16, {5})}, {{"dtype", "bf16"}}).outputs[0].Floats();
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 1.015625f);
  EXPECT_EQ(out[2], INFINITY);
  EXPECT_TRUE(std::isnan(out[3]));
  EXPECT_TRUE(std::signbit(out[4]));
}

EMU_TEST(TheSameTypeIsACopy) {
  test::Random random(1);
  const auto x = test::RandomValues({70001}, random);
  EXPECT_TRUE(RunCall("cast", {&x}, {x.type}, {{"dtype", "f32"}}).outputs[0] == x);
  const auto rounded = test::ValuesBf16({70001}, x.Floats());
  EXPECT_TRUE(RunCall("cast", {&rounded}, {rounded.type}, {{"dtype", "bf16"}}).outputs[0] == rounded);
}

EMU_TEST(RefusesOtherTypes) {
  const auto x = test::Values({1}, {1}), ids = test::Indices({1}, {1});
  EXPECT_EQ(RunCall("cast", {&x}, {x.type}, {{"dtype", "f16"}}).status.message(),
            "[cast] dtype \"f16\" is not f32 or bf16");
  EXPECT_EQ(RunCall("cast", {&ids}, {x.type}, {{"dtype", "f32"}}).status.message(),
            "[cast] x is i32, needs f32 or bf16: got i32[1]");
  EXPECT_EQ(RunCall("cast", {&x}, {x.type}, {{"dtype", "bf16"}}).status.message(),
            "[cast] makes bf16[1], the program declares f32[1]: got f32[1]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
