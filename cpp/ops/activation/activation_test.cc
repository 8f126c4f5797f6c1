#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

struct Function {
  const char* name;
  double (*exact)(double);
};

const Function kFunctions[] = {
    {"none", [](double x) { return x; }},
    {"gelu", [](double x) { return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5))); }},
    {"quickGelu", [](double x) { return x / (1 + std::exp(-1.702 * x)); }},
    {"relu", [](double x) { return x > 0 ? x : 0; }},
    {"silu", [](double x) { return x / (1 + std::exp(-x)); }},
};

EMU_TEST(AgreesWithTheExactFunctions) {
  for (const Function& function : kFunctions) {
    for (int64_t count : {0, 1, 15, 17, 40001}) {
      test::Random random(count);
      auto x = test::RandomValues({count}, random);
      for (int64_t i = 0; i < count; ++i) x.f32()[i] *= 9;
      const auto result = RunCall("activation", {&x}, {x.type}, {{"activation", function.name}});
      std::vector<float> expected(count);
      for (int64_t i = 0; i < count; ++i) expected[i] = static_cast<float>(function.exact(x.f32()[i]));
      EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), expected), 3e-7);
    }
  }
}

EMU_TEST(AnElementIsTheSameWhereverItLies) {
  test::Random random(1);
  const auto x = test::RandomValues({70001}, random);
  const auto result = RunCall("activation", {&x}, {x.type}, {{"activation", "gelu"}}, {.threads = 1});
  const auto other =
      RunCall("activation", {&x}, {x.type}, {{"activation", "gelu"}}, {.threads = 3, .order = 8});
  EXPECT_TRUE(result.outputs[0] == other.outputs[0]);
  for (int64_t at : {0, 5, 70000}) {
    const auto one = test::Values({}, {x.f32()[at]});
    EXPECT_EQ(RunCall("activation", {&one}, {one.type}, {{"activation", "gelu"}}).outputs[0].f32()[0],
              result.outputs[0].f32()[at]);
  }
}

EMU_TEST(RefusesAnUnknownName) {
  test::Random random(1);
  const auto x = test::RandomValues({3}, random);
  EXPECT_EQ(RunCall("activation", {&x}, {x.type}, {{"activation", "tanh"}}).status.message(),
            "[activation] activation \"tanh\" is not none, gelu, quickGelu, relu or silu");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
