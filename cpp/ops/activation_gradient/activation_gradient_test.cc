#include <algorithm>
#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(MatchesTheDifferenceQuotient) {
  const auto act = [](const std::string& kind, double x) {
    if (kind == "gelu") return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    if (kind == "quickGelu") return x / (1 + std::exp(-1.702 * x));
    if (kind == "silu") return x / (1 + std::exp(-x));
    return kind == "relu" ? std::max(x, 0.0) : x;
  };
  for (const char* kind : {"none", "gelu", "quickGelu", "relu", "silu"}) {
    for (int64_t count : {0, 1, 15, 17, 70001}) {
      test::Random random(1);
      auto x = test::RandomValues({count}, random);
      for (int64_t i = 0; i < count; ++i) x.f32()[i] *= 6;
      const auto dy = test::RandomValues({count}, random);
      const auto result =
          RunCall("activationGradient", {&x, &dy}, {x.type}, {{"activation", std::string(kind)}});
      for (int64_t i = 0; i < count; ++i) {
        const double at = x.f32()[i], step = 1e-5;
        if (std::abs(at) < 2 * step) continue;
        const double slope = (act(kind, at + step) - act(kind, at - step)) / (2 * step);
        EXPECT_LE(std::abs(result.outputs[0].f32()[i] - slope * dy.f32()[i]), 2e-6);
      }
    }
  }
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
