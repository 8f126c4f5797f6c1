#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(GatesWithSiluAndGelu) {
  for (int64_t count : {1, 15, 16, 17, 13824}) {
    test::Random random(count);
    const auto gate = test::RandomValues({3, count}, random), up = test::RandomValues({3, count}, random);
    const auto silu = RunCall("gatedActivation", {&gate, &up}, {gate.type}, {{"activation", "silu"}});
    const auto gelu = RunCall("gatedActivation", {&gate, &up}, {gate.type}, {{"activation", "gelu"}});
    std::vector<float> with_silu(3 * count), with_gelu(3 * count);
    for (int64_t i = 0; i < 3 * count; ++i) {
      const double g = gate.f32()[i], u = up.f32()[i];
      with_silu[i] = static_cast<float>(g / (1 + std::exp(-g)) * u);
      with_gelu[i] = static_cast<float>(0.5 * g * (1 + std::erf(g * std::sqrt(0.5))) * u);
    }
    EXPECT_LE(test::RelativeError(silu.outputs[0].Floats(), with_silu), 3e-7);
    EXPECT_LE(test::RelativeError(gelu.outputs[0].Floats(), with_gelu), 3e-7);
  }
}

EMU_TEST(RefusesOtherShapes) {
  test::Random random(1);
  const auto gate = test::RandomValues({2, 3}, random), wide = test::RandomValues({2, 4}, random);
  const auto tall = test::RandomValues({4, 3}, random);
  const auto message = [&](const test::Tensor& up) {
    return RunCall("gatedActivation", {&gate, &up}, {gate.type}, {{"activation", "silu"}}).status.message();
  };
  EXPECT_EQ(message(wide), "[gatedActivation] F is 3 in gate but 4 in up: got f32[2,3], f32[2,4]");
  EXPECT_EQ(message(tall), "[gatedActivation] axes [2] of gate are not [4] of up: got f32[2,3], f32[4,3]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
