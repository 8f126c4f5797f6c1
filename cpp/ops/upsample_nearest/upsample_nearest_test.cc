#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

test::CallResult Upsample(const test::Tensor& x, int64_t height, int64_t width) {
  const Shape& from = x.type.shape;
  return RunCall("upsampleNearest", {&x}, {F32Type({from[0], height, width, from[3]})},
                 {{"height", static_cast<double>(height)}, {"width", static_cast<double>(width)}});
}

EMU_TEST(TakesThePixelThatTheFloorOfTheRatioNames) {
  const int64_t sizes[][4] = {{1, 1, 1, 1},  {4, 4, 8, 8}, {3, 5, 7, 11},
                              {7, 11, 3, 5}, {5, 3, 5, 6}, {2, 2, 5, 1}};
  for (const auto& [from_height, from_width, height, width] : sizes) {
    for (int64_t channels : {1, 3, 16, 40}) {
      test::Random random(1);
      const auto x = test::RandomValues({2, from_height, from_width, channels}, random);
      const auto result = Upsample(x, height, width);
      EXPECT_TRUE(result.status.ok());
      for (int64_t i = 0; i < 2 * height * width * channels; ++i) {
        const int64_t c = i % channels, column = i / channels % width, row = i / channels / width % height;
        const int64_t picture = i / channels / width / height;
        const int64_t from =
            (picture * from_height + row * from_height / height) * from_width + column * from_width / width;
        EXPECT_EQ(result.outputs[0].f32()[i], x.f32()[from * channels + c]);
      }
    }
  }
}

EMU_TEST(RefusesAPictureWithoutPixels) {
  const test::Tensor empty(F32Type({1, 0, 4, 3}));
  EXPECT_EQ(Upsample(empty, 2, 8).status.message(),
            "[upsampleNearest] a picture 0x4 has no pixels to fill 2x8: got f32[1,0,4,3]");
  EXPECT_TRUE(Upsample(empty, 0, 8).status.ok());
  EXPECT_EQ(Upsample(empty, -1, 8).status.message(),
            "[upsampleNearest] height -1 is not an integer of at least 0");
}

EMU_TEST(HugePicturesWithoutChannelsTakeNoTime) {
  const test::Tensor x(F32Type({1, int64_t{1} << 30, 1, 0}));
  EXPECT_TRUE(Upsample(x, int64_t{1} << 40, 3).status.ok());
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
