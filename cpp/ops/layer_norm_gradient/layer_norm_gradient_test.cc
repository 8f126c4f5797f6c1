#include "base/test_call.h"

namespace emu {
namespace {

using test::RandomValues;
using test::RunCall;
using test::Tensor;

struct Gradients {
  std::vector<float> dx, dweight, dbias;
};

Gradients Reference(int64_t width, double epsilon, const std::vector<float>& x,
                    const std::vector<float>& weight, const std::vector<float>& dy) {
  Gradients out = {std::vector<float>(x.size()), {}, {}};
  std::vector<double> dweight(weight.size()), dbias(weight.size());
  for (size_t start = 0; start < x.size(); start += width) {
    double mean = 0, squares = 0, level = 0, along = 0;
    for (int64_t d = 0; d < width; ++d) mean += x[start + d] / double(width);
    for (int64_t d = 0; d < width; ++d) squares += (x[start + d] - mean) * (x[start + d] - mean);
    const double factor = 1 / std::sqrt(squares / width + epsilon);
    const auto normal = [&](int64_t d) { return (x[start + d] - mean) * factor; };
    for (int64_t d = 0; d < width; ++d) {
      level += double(weight[d]) * dy[start + d] / width;
      along += double(weight[d]) * dy[start + d] * normal(d) / width;
    }
    for (int64_t d = 0; d < width; ++d) {
      const double slope = double(weight[d]) * dy[start + d];
      out.dx[start + d] = static_cast<float>(factor * (slope - level - normal(d) * along));
      dweight[d] += dy[start + d] * normal(d);
      dbias[d] += dy[start + d];
    }
  }
  out.dweight.assign(dweight.begin(), dweight.end());
  out.dbias.assign(dbias.begin(), dbias.end());
  return out;
}

test::CallResult Run(const Tensor& x, const Tensor& weight, const Tensor& dy,
                     const test::CallOptions& options = {}) {
  return RunCall("layerNormGradient", {&x, &weight, &dy}, {x.type, weight.type, weight.type},
                 {{"epsilon", 1e-5}}, options);
}

EMU_TEST(AgreesWithPlainLoopsAtAwkwardWidthsAndBlocks) {
  for (int64_t width : {3, 15, 16, 17, 63, 65, 255, 1408, 2050}) {
    for (int64_t rows : {1, 32, 33, 70}) {
      test::Random random(width + rows);
      const auto x = RandomValues({rows, width}, random), weight = RandomValues({width}, random),
                 dy = RandomValues({rows, width}, random);
      const auto result = Run(x, weight, dy);
      EXPECT_EQ(result.status.message(), "");
      const Gradients expected = Reference(width, 1e-5, x.Floats(), weight.Floats(), dy.Floats());
      EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), expected.dx), 4e-6);
      EXPECT_LE(test::RelativeError(result.outputs[1].Floats(), expected.dweight), 2e-6);
      EXPECT_LE(test::RelativeError(result.outputs[2].Floats(), expected.dbias), 2e-6);
    }
  }
}

EMU_TEST(ThreadsAndTaskOrderDoNotChangeABit) {
  test::Random random(5);
  const auto x = RandomValues({300, 1030}, random), weight = RandomValues({1030}, random),
             dy = RandomValues({300, 1030}, random);
  const auto one = Run(x, weight, dy, {.threads = 1});
  for (int threads : {2, 7}) {
    const auto other = Run(x, weight, dy, {.threads = threads, .order = 11u + threads});
    for (size_t output = 0; output < 3; ++output) {
      EXPECT_TRUE(one.outputs[output] == other.outputs[output]);
    }
  }
}

EMU_TEST(NoRowsGiveWeightsAGradientOfZeros) {
  test::Random random(1);
  const auto x = RandomValues({0, 8}, random), weight = RandomValues({8}, random);
  const auto result = Run(x, weight, x);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(result.outputs[1].f32()[i] + result.outputs[2].f32()[i], 0.0f);
}

EMU_TEST(ManyEmptyRowsTakeNoTime) {
  const Tensor x(test::F32Type({int64_t{1} << 40, 0})), weight(test::F32Type({0}));
  EXPECT_TRUE(Run(x, weight, x).status.ok());
}

EMU_TEST(RefusesAGradientOfAnotherWidth) {
  test::Random random(1);
  const auto x = RandomValues({2, 8}, random), weight = RandomValues({8}, random),
             dy = RandomValues({2, 7}, random);
  EXPECT_EQ(Run(x, weight, dy).status.message(),
            "[layerNormGradient] D is 8 in x but 7 in dy: got f32[2,8], f32[8], f32[2,7]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
