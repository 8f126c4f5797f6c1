#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(IsExpToAboutAnUlp) {
  for (int64_t count : {0, 1, 15, 17, 70001}) {
    test::Random random(1);
    auto x = test::RandomValues({count}, random);
    for (int64_t i = 0; i < count; ++i) x.f32()[i] *= 80;
    const auto result = RunCall("exponential", {&x}, {x.type}, {});
    for (int64_t i = 0; i < count; ++i) {
      const double expected = std::exp(static_cast<double>(x.f32()[i]));
      EXPECT_LE(std::abs(result.outputs[0].f32()[i] - expected), 3e-7 * expected);
    }
  }
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
