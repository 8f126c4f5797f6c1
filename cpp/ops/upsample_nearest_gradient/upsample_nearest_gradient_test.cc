#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(SumsOverRepetitions) {
  struct Case {
    int64_t batch, big_height, big_width, height, width, channels;
  };
  for (const Case& c : {Case{1, 1, 1, 1, 1, 1}, Case{2, 8, 10, 4, 5, 17}, Case{1, 7, 3, 3, 7, 4},
                        Case{2, 5, 7, 2, 3, 65}, Case{0, 4, 4, 2, 2, 3}}) {
    test::Random random(1);
    const auto dy = test::RandomValues({c.batch, c.big_height, c.big_width, c.channels}, random);
    const TensorType type = test::F32Type({c.batch, c.height, c.width, c.channels});
    std::vector<float> expected(static_cast<size_t>(type.shape.elements()), 0.0f);
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t y = 0; y < c.big_height; ++y) {
        for (int64_t x = 0; x < c.big_width; ++x) {
          for (int64_t k = 0; k < c.channels; ++k) {
            const int64_t row = b * c.height + y * c.height / c.big_height;
            const int64_t to = (row * c.width + x * c.width / c.big_width) * c.channels + k;
            expected[static_cast<size_t>(to)] +=
                dy.f32()[((b * c.big_height + y) * c.big_width + x) * c.channels + k];
          }
        }
      }
    }
    const auto result =
        RunCall("upsampleNearestGradient", {&dy}, {type},
                {{"height", static_cast<double>(c.height)}, {"width", static_cast<double>(c.width)}});
    EXPECT_TRUE(result.outputs[0].Floats() == expected);
  }
}

EMU_TEST(RefusesNoPixels) {
  test::Random random(1);
  const auto dy = test::RandomValues({1, 2, 2, 1}, random);
  EXPECT_EQ(RunCall("upsampleNearestGradient", {&dy}, {test::F32Type({1, 0, 2, 1})},
                    {{"height", 0.0}, {"width", 2.0}})
                .status.message(),
            "[upsampleNearestGradient] a picture 0x2 has no pixels that fill 2x2: got f32[1,2,2,1]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
