#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(KeepsTheRightShareAndTheSameElementsHoweverItIsCut) {
  const auto key = test::Indices({2}, {-5, 77});
  const std::map<std::string, AttributeValue> options = {{"rate", 0.25}, {"stream", 9.0}};
  const int64_t most = 200003;
  test::Random random(1);
  const auto x = test::RandomValues({most}, random);
  const auto whole = RunCall("dropout", {&x, &key}, {x.type}, options, {.threads = 1});
  int64_t kept = 0;
  for (int64_t i = 0; i < most; ++i) {
    const float y = whole.outputs[0].f32()[i];
    if (y == 0) continue;
    ++kept;
    EXPECT_EQ(y, x.f32()[i] * static_cast<float>(1 / 0.75));
  }
  EXPECT_LE(std::abs(static_cast<double>(kept) / most - 0.75), 0.004);
  const auto cut = RunCall("dropout", {&x, &key}, {x.type}, options, {.threads = 7, .order = 3});
  EXPECT_TRUE(whole.outputs[0] == cut.outputs[0]);
  for (int64_t count : {0, 1, 3, 63, 64, 65}) {
    test::Random again(1);
    const auto part = test::RandomValues({count}, again);
    const auto first = RunCall("dropout", {&part, &key}, {part.type}, options).outputs[0].Floats();
    for (int64_t i = 0; i < count; ++i) EXPECT_EQ(first[static_cast<size_t>(i)], whole.outputs[0].f32()[i]);
  }
}

// Known answers of the published generator for counter 0 and key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
EMU_TEST(DrawsThePublishedWords) {
  const auto key = test::Indices({2}, {0, 0});
  const auto x = test::Values({4}, {1, 1, 1, 1});
  const auto kept = [&](double rate) {
    return RunCall("dropout", {&x, &key}, {x.type}, {{"rate", rate}, {"stream", 0.0}}).outputs[0].Floats();
  };
  // 0x6627e8d5 / 2^32 = 0.39905, 0xe169c58d: 0.88052, 0xbc57ac4c: 0.73571, 0x9b00dbd8: 0.60548.
  const auto some = kept(0.7);
  EXPECT_TRUE(some[0] == 0 && some[1] != 0 && some[2] != 0 && some[3] == 0);
  const auto fewer = kept(0.75);
  EXPECT_TRUE(fewer[0] == 0 && fewer[1] != 0 && fewer[2] == 0 && fewer[3] == 0);
  EXPECT_TRUE(kept(0) == x.Floats());
}

EMU_TEST(RefusesRatesAndStreamsOutOfRange) {
  const auto key = test::Indices({2}, {0, 0});
  const auto x = test::Values({1}, {1});
  EXPECT_EQ(RunCall("dropout", {&x, &key}, {x.type}, {{"rate", 1.0}, {"stream", 0.0}}).status.message(),
            "[dropout] rate 1.000000 is not a number in 0..1, 1 excluded");
  EXPECT_EQ(
      RunCall("dropout", {&x, &key}, {x.type}, {{"rate", 0.5}, {"stream", 4294967296.0}}).status.message(),
      "[dropout] stream 4294967296 is not an integer below 2^32");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
