#include "base/activation.h"
#include "base/test_call.h"

namespace emu {
namespace {

using test::RandomValues;
using test::RunCall;
using test::Tensor;

struct Case {
  int64_t pictures, places, channels, groups;
};

test::CallResult Run(const Case& c, const std::string& activation, const std::vector<const Tensor*>& inputs,
                     const test::CallOptions& options = {}) {
  return RunCall("groupNormGradient", inputs, {inputs[0]->type, inputs[1]->type, inputs[1]->type},
                 {{"groups", double(c.groups)}, {"epsilon", 1e-5}, {"activation", activation}}, options);
}

double Derivative(const std::string& activation, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x)), quick = 1 / (1 + std::exp(-1.702 * x));
  if (activation == "relu") return x > 0 ? 1 : 0;
  if (activation == "silu") return sigmoid * (1 + x * (1 - sigmoid));
  if (activation == "quickGelu") return quick * (1 + 1.702 * x * (1 - quick));
  if (activation == "gelu") {
    return 0.5 * (1 + std::erf(x / std::sqrt(2.0))) + x * std::exp(-0.5 * x * x) * 0.3989422804014327;
  }
  return 1;
}

// Plain loops in double precision: dx, dweight, dbias.
std::vector<std::vector<float>> Reference(const Case& c, const std::string& activation, const Tensor& x,
                                          const Tensor& weight, const Tensor& bias, const Tensor& dy) {
  std::vector<double> dx(static_cast<size_t>(x.type.shape.elements())), dweight(c.channels),
      dbias(c.channels);
  const int64_t width = c.channels / c.groups;
  for (int64_t part = 0; part < c.pictures * c.groups; ++part) {
    const int64_t b = part / c.groups, first = part % c.groups * width;
    const double count = static_cast<double>(c.places * width);
    const auto each = [&](auto visit) {
      for (int64_t p = 0; p < c.places; ++p) {
        for (int64_t i = first; i < first + width; ++i) visit((b * c.places + p) * c.channels + i, i);
      }
    };
    double mean = 0, squares = 0, level = 0, along = 0;
    each([&](int64_t at, int64_t) { mean += x.f32()[at] / count; });
    each([&](int64_t at, int64_t) { squares += (x.f32()[at] - mean) * (x.f32()[at] - mean) / count; });
    const double factor = 1 / std::sqrt(squares + 1e-5);
    const auto normal = [&](int64_t at) { return (x.f32()[at] - mean) * factor; };
    const auto error = [&](int64_t at, int64_t i) {
      return dy.f32()[at] * Derivative(activation, normal(at) * weight.f32()[i] + bias.f32()[i]);
    };
    each([&](int64_t at, int64_t i) {
      level += error(at, i) * weight.f32()[i] / count;
      along += error(at, i) * weight.f32()[i] * normal(at) / count;
    });
    each([&](int64_t at, int64_t i) {
      dx[at] = factor * (error(at, i) * weight.f32()[i] - level - normal(at) * along);
      dweight[i] += error(at, i) * normal(at);
      dbias[i] += error(at, i);
    });
  }
  return {{dx.begin(), dx.end()}, {dweight.begin(), dweight.end()}, {dbias.begin(), dbias.end()}};
}

EMU_TEST(AgreesWithPlainLoopsForEveryActivation) {
  for (const Case& c :
       {Case{1, 5, 7, 7}, Case{2, 15, 9, 3}, Case{1, 63, 64, 32}, Case{3, 64, 34, 2}, Case{2, 600, 65, 5}}) {
    for (const char* activation : {"none", "silu", "gelu", "quickGelu", "relu"}) {
      test::Random random(c.places);
      const auto x = RandomValues({c.pictures, c.places, c.channels}, random);
      const auto dy = RandomValues({c.pictures, c.places, c.channels}, random);
      const auto weight = RandomValues({c.channels}, random), bias = RandomValues({c.channels}, random);
      const auto result = Run(c, activation, {&x, &weight, &bias, &dy});
      EXPECT_EQ(result.status.message(), "");
      const auto expected = Reference(c, activation, x, weight, bias, dy);
      for (size_t output = 0; output < 3; ++output) {
        EXPECT_LE(test::RelativeError(result.outputs[output].Floats(), expected[output]), 4e-6);
      }
    }
  }
}

EMU_TEST(ThreadsAndTaskOrderDoNotChangeABit) {
  const Case c = {3, 900, 65, 13};
  test::Random random(5);
  const auto x = RandomValues({c.pictures, c.places, c.channels}, random);
  const auto weight = RandomValues({c.channels}, random);
  const auto one = Run(c, "silu", {&x, &weight, &weight, &x}, {.threads = 1});
  for (int threads : {2, 7}) {
    const auto other =
        Run(c, "silu", {&x, &weight, &weight, &x}, {.threads = threads, .order = 3u + threads});
    for (size_t output = 0; output < 3; ++output) EXPECT_TRUE(one.outputs[output] == other.outputs[output]);
  }
}

EMU_TEST(NoPlacesGiveWeightsAGradientOfZeros) {
  test::Random random(1);
  const auto weight = RandomValues({8}, random);
  for (const Case& c : {Case{0, 3, 8, 2}, Case{2, 0, 8, 2}}) {
    const Tensor x(test::F32Type({c.pictures, c.places, 8}));
    const auto result = Run(c, "none", {&x, &weight, &weight, &x});
    EXPECT_EQ(result.status.message(), "");
    for (int i = 0; i < 8; ++i) EXPECT_EQ(result.outputs[1].f32()[i] + result.outputs[2].f32()[i], 0.0f);
  }
}

EMU_TEST(RefusesGroupsThatDoNotDivideTheChannels) {
  test::Random random(1);
  const auto x = RandomValues({1, 2, 8}, random), weight = RandomValues({8}, random);
  EXPECT_EQ(
      Run({1, 2, 8, 3}, "none", {&x, &weight, &weight, &x}).status.message(),
      "[groupNormGradient] groups 3 does not divide 8 channels: got f32[1,2,8], f32[8], f32[8], f32[1,2,8]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
