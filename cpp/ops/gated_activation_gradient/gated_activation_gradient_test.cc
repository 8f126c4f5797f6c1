#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(IsTheProductRule) {
  for (const char* kind : {"none", "gelu", "quickGelu", "relu", "silu"}) {
    for (int64_t count : {0, 1, 15, 17, 70001}) {
      test::Random random(1);
      const auto gate = test::RandomValues({count}, random), up = test::RandomValues({count}, random);
      const auto dy = test::RandomValues({count}, random);
      const std::map<std::string, AttributeValue> options = {{"activation", std::string(kind)}};
      const auto both =
          RunCall("gatedActivationGradient", {&gate, &up, &dy}, {gate.type, gate.type}, options);
      const auto slope = RunCall("activationGradient", {&gate, &dy}, {gate.type}, options);
      const auto value = RunCall("gatedActivation", {&gate, &dy}, {gate.type}, options);
      for (int64_t i = 0; i < count; ++i) {
        EXPECT_LE(std::abs(both.outputs[0].f32()[i] - slope.outputs[0].f32()[i] * up.f32()[i]), 1e-6);
        EXPECT_LE(std::abs(both.outputs[1].f32()[i] - value.outputs[0].f32()[i]), 1e-6);
      }
    }
  }
}

EMU_TEST(RefusesOneOutput) {
  test::Random random(1);
  const auto x = test::RandomValues({2}, random);
  EXPECT_EQ(RunCall("gatedActivationGradient", {&x, &x, &x}, {x.type}, {{"activation", std::string("silu")}})
                .status.message(),
            "[gatedActivationGradient] makes 2 outputs, not 1: got f32[2], f32[2], f32[2]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
