#include "base/test_call.h"

namespace emu {
namespace {

using test::RandomValues;
using test::RunCall;

double Activate(const std::string& kind, double x) {
  if (kind == "silu") return x / (1 + std::exp(-x));
  if (kind == "gelu") return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
  return x;
}

struct Case {
  int64_t batch, height, width, channels, groups;
  const char* activation;
};

std::vector<float> Reference(const Case& c, const std::vector<float>& x, const std::vector<float>& weight,
                             const std::vector<float>& bias) {
  std::vector<float> out(x.size());
  const int64_t places = c.height * c.width, width = c.channels / c.groups;
  for (int64_t group = 0; group < c.batch * c.groups; ++group) {
    const int64_t first = (group / c.groups) * places * c.channels + group % c.groups * width;
    const auto mean_of = [&](auto term) {
      double sum = 0;
      for (int64_t i = 0; i < places * width; ++i) sum += term(x[first + i / width * c.channels + i % width]);
      return sum / (places * width);
    };
    const double mean = mean_of([](double value) { return value; });
    const double variance = mean_of([=](double value) { return (value - mean) * (value - mean); });
    for (int64_t i = 0; i < places * width; ++i) {
      const int64_t at = first + i / width * c.channels + i % width;
      const double normal = (x[at] - mean) / std::sqrt(variance + 1e-5);
      out[at] = static_cast<float>(
          Activate(c.activation, normal * weight[at % c.channels] + bias[at % c.channels]));
    }
  }
  return out;
}

std::map<std::string, AttributeValue> AttributesOf(const Case& c) {
  return {{"groups", static_cast<double>(c.groups)}, {"epsilon", 1e-5}, {"activation", c.activation}};
}

const Case kCases[] = {{1, 1, 1, 1, 1, "none"},    {2, 3, 5, 12, 4, "none"},     {1, 1, 1, 64, 32, "silu"},
                       {3, 7, 9, 40, 2, "silu"},   {2, 16, 16, 320, 32, "silu"}, {1, 64, 64, 30, 3, "gelu"},
                       {1, 40, 40, 33, 33, "none"}};

void ExpectAgreement(float mean) {
  for (const Case& c : kCases) {
    test::Random random(c.channels);
    auto x = RandomValues({c.batch, c.height, c.width, c.channels}, random);
    for (int64_t i = 0; i < x.type.shape.elements(); ++i) x.f32()[i] += mean;
    const auto weight = RandomValues({c.channels}, random), bias = RandomValues({c.channels}, random);
    const auto result = RunCall("groupNorm", {&x, &weight, &bias}, {x.type}, AttributesOf(c));
    EXPECT_TRUE(result.status.ok());
    EXPECT_LE(test::RelativeError(result.outputs[0].Floats(),
                                  Reference(c, x.Floats(), weight.Floats(), bias.Floats())),
              1e-6);
  }
}

EMU_TEST(AgreesWithPlainLoops) { ExpectAgreement(0); }

EMU_TEST(StaysAccurateWhereTheMeanIsAThousandDeviations) { ExpectAgreement(-1000); }

EMU_TEST(APictureAloneIsBitEqualToTheSameAmongOthersWhateverTheThreads) {
  const Case c = {3, 33, 17, 96, 32, "silu"};
  test::Random random(5);
  const auto x = RandomValues({3, 33, 17, 96}, random);
  const auto weight = RandomValues({96}, random), bias = RandomValues({96}, random);
  const auto all = RunCall("groupNorm", {&x, &weight, &bias}, {x.type}, AttributesOf(c), {.threads = 1});
  const auto other =
      RunCall("groupNorm", {&x, &weight, &bias}, {x.type}, AttributesOf(c), {.threads = 5, .order = 3});
  EXPECT_TRUE(all.outputs[0] == other.outputs[0]);
  const int64_t picture = 33 * 17 * 96;
  for (int b = 0; b < 3; ++b) {
    const auto one = test::Values({1, 33, 17, 96}, {x.f32() + b * picture, x.f32() + (b + 1) * picture});
    const auto alone = RunCall("groupNorm", {&one, &weight, &bias}, {one.type}, AttributesOf(c));
    EXPECT_TRUE(std::equal(alone.outputs[0].f32(), alone.outputs[0].f32() + picture,
                           all.outputs[0].f32() + b * picture));
  }
}

EMU_TEST(RefusesGroupsThatDoNotDivideTheChannels) {
  test::Random random(1);
  const auto x = RandomValues({1, 2, 2, 6}, random), row = RandomValues({6}, random);
  const auto message = [&](double groups, const char* activation) {
    return RunCall("groupNorm", {&x, &row, &row}, {x.type},
                   {{"groups", groups}, {"epsilon", 0.0}, {"activation", activation}})
        .status.message();
  };
  EXPECT_EQ(message(4, "none"),
            "[groupNorm] groups 4 does not divide 6 channels: got f32[1,2,2,6], f32[6], f32[6]");
  EXPECT_EQ(message(0, "none"), "[groupNorm] groups 0 is not an integer of at least 1");
  EXPECT_EQ(message(2, "tanh"), "[groupNorm] activation \"tanh\" is not none, gelu, quickGelu, relu or silu");
  EXPECT_EQ(RunCall("groupNorm", {&row, &row, &row}, {row.type}, AttributesOf(kCases[0])).status.message(),
            "[groupNorm] x has 1 axes, needs [B,...,C]: got f32[6], f32[6], f32[6]");
}

EMU_TEST(NoPlacesAndNoChannelsAreNoWork) {
  const test::Tensor no_places(test::F32Type({2, 0, 4})), row(test::F32Type({4}));
  EXPECT_TRUE(
      RunCall("groupNorm", {&no_places, &row, &row}, {no_places.type}, AttributesOf(kCases[0])).status.ok());
  const test::Tensor no_channels(test::F32Type({2, 3, 0})), empty(test::F32Type({0}));
  EXPECT_TRUE(
      RunCall("groupNorm", {&no_channels, &empty, &empty}, {no_channels.type}, AttributesOf(kCases[0]))
          .status.ok());
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
