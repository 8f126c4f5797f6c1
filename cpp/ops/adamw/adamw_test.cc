#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(StepsAsTheFormulaSays) {
  const std::vector<float> hyper_values = {1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.271f, 0.002997f, 0.5f};
  const auto hyper = test::Values({8}, hyper_values);
  for (int64_t count : {0, 1, 15, 17, 70001}) {
    test::Random random(1);
    const auto p = test::RandomValues({count}, random), g = test::RandomValues({count}, random);
    auto m1 = test::RandomValues({count}, random), m2 = test::RandomValues({count}, random);
    for (int64_t i = 0; i < count; ++i) m2.f32()[i] = std::abs(m2.f32()[i]);
    const auto before1 = m1, before2 = m2;
    const auto result = RunCall("adamw", {&p, &m1, &m2, &g, &hyper}, {p.type}, {});
    EXPECT_TRUE(result.status.ok());
    for (int64_t i = 0; i < count; ++i) {
      const double scaled = g.f32()[i] * 0.5;
      const double first = before1.f32()[i] + (1 - 0.9) * (scaled - before1.f32()[i]);
      const double second = 0.999 * before2.f32()[i] + (1 - 0.999) * scaled * scaled;
      const double root = std::sqrt(second) / std::sqrt(0.002997) + 1e-8;
      const double parameter = p.f32()[i] * (1 - 1e-3 * 0.01) - 1e-3 / 0.271 * first / root;
      EXPECT_LE(std::abs(m1.f32()[i] - first), 2e-7);
      EXPECT_LE(std::abs(m2.f32()[i] - second), 2e-7);
      EXPECT_LE(std::abs(result.outputs[0].f32()[i] - parameter), 3e-7);
    }
  }
}

EMU_TEST(RefusesAnotherNumberOfHyperparameters) {
  const auto p = test::Values({1}, {1}), hyper = test::Values({7}, {0, 0, 0, 0, 0, 1, 1});
  EXPECT_EQ(RunCall("adamw", {&p, &p, &p, &p, &hyper}, {p.type}, {}).status.message(),
            "[adamw] hyper has 7 numbers, needs 8: got f32[1], f32[1], f32[1], f32[1], f32[7]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
