#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(SumsWhateverTheThreads) {
  for (int64_t count : {0, 1, 15, 17, 4097, 300007}) {
    test::Random random(1);
    const auto x = test::RandomValues({count}, random);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x.f32()[i]) * x.f32()[i];
    const auto result = RunCall("sumOfSquares", {&x}, {test::F32Type({1})}, {}, {.threads = 1});
    EXPECT_LE(std::abs(result.outputs[0].f32()[0] - sum), 1e-6 * sum);
    const auto other = RunCall("sumOfSquares", {&x}, {test::F32Type({1})}, {}, {.threads = 5, .order = 2});
    EXPECT_TRUE(result.outputs[0] == other.outputs[0]);
  }
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
