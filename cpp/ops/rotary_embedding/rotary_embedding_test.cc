#include "ops/rotary_embedding/rotary_embedding.h"

#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

test::CallResult Rotate(const Tensor& x, const Tensor& position, int threads = 2) {
  return test::RunCall("rotaryEmbedding", {&x, &position}, {x.type}, {{"theta", 10000.0}},
                       {.threads = threads, .order = 3});
}

EMU_TEST(AgreesWithPlainLoops) {
  for (int64_t width : {2, 6, 16, 88, 128}) {
    test::Random random(width);
    const int64_t rows = 9, heads = 3, half = width / 2;
    const Tensor x = test::RandomValues({rows, heads, width}, random);
    const Tensor position = test::Indices({rows}, {0, 1, 2, 3, 100, 511, 2047, 65535, 7});
    const auto result = Rotate(x, position);
    EXPECT_EQ(result.status.message(), "");
    std::vector<float> wanted(static_cast<size_t>(rows * heads * width));
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < half; ++i) {
        const float power = static_cast<float>(std::pow(10000.0, -2.0 * i / width));
        const float angle = static_cast<float>(position.i32()[row]) * power;
        const float cosine = static_cast<float>(std::cos(double(angle)));
        const float sine = static_cast<float>(std::sin(double(angle)));
        for (int64_t head = 0; head < heads; ++head) {
          const int64_t at = (row * heads + head) * width + i;
          const double first = x.f32()[at], second = x.f32()[at + half];
          wanted[at] = static_cast<float>(first * cosine - second * sine);
          wanted[at + half] = static_cast<float>(second * cosine + first * sine);
        }
      }
    }
    EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), wanted), 1.5e-7);
    EXPECT_TRUE(Rotate(x, position, 16).outputs[0] == result.outputs[0]);
  }
}

EMU_TEST(RefusesAnOddOrAbsurdWidthAndAThetaThatIsNoBase) {
  const Tensor x(test::F32Type({1, 1, 3})), position = test::Indices({1}, {0});
  EXPECT_EQ(Rotate(x, position).status.message(),
            "[rotaryEmbedding] head width 3 is odd: got f32[1,1,3], i32[1]");
  const Tensor wide(test::F32Type({1, 1, 65538}));
  EXPECT_EQ(Rotate(wide, position).status.message(),
            "[rotaryEmbedding] head width 65538 is more than 65536: got f32[1,1,65538], i32[1]");
  const Tensor even(test::F32Type({1, 1, 4}));
  const auto result = test::RunCall("rotaryEmbedding", {&even, &position}, {even.type}, {{"theta", -1.0}});
  EXPECT_TRUE(result.status.code() == Code::kInvalidOption);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
