#include "base/test_convolution.h"

namespace emu {
namespace {

using test::ConvolutionGeometry;
using test::Tensor;

test::CallResult Run(const ConvolutionGeometry& g, const Tensor& x, const Tensor& dy,
                     const std::string& precision = "f32", const test::CallOptions& options = {}) {
  auto attributes = g.steps();
  attributes["kernelHeight"] = double(g.kernel_height);
  attributes["kernelWidth"] = double(g.kernel_width);
  attributes["precision"] = precision;
  return test::RunCall("convolutionGradientWeight", {&x, &dy}, {g.kernel()}, attributes, options);
}

EMU_TEST(AgreesWithPlainLoops) {
  uint64_t seed = 0;
  for (const ConvolutionGeometry& g : test::ConvolutionGeometries()) {
    for (const char* precision : {"f32", "bf16"}) {
      const bool rounds = std::string(precision) == "bf16";
      const Tensor x = test::RandomTensor(g.picture(), ++seed), dy = test::RandomTensor(g.result(), ++seed);
      const std::vector<float> pixels = rounds ? Rounded(x).Floats() : x.Floats();
      const std::vector<float> gradient = rounds ? Rounded(dy).Floats() : dy.Floats();
      std::vector<double> sums(static_cast<size_t>(g.kernel().shape.elements()));
      g.ForEachProduct([&](int64_t picture, int64_t at, int64_t result) {
        sums[at] += double(gradient[result]) * pixels[picture];
      });
      const auto result = Run(g, x, dy, precision);
      EXPECT_EQ(result.status.message(), "");
      if (!result.status.ok()) continue;
      EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), {sums.begin(), sums.end()}), 3e-6);
    }
  }
}

EMU_TEST(ThreadsNeverChangeABit) {
  const ConvolutionGeometry many_outputs = {3, 14, 13, 50, 210, 3, 3, 1, {1, 1, 1, 1}};
  const ConvolutionGeometry long_rows = {3, 14, 37, 20, 27, 3, 3, 1, {1, 1, 1, 1}};
  for (const ConvolutionGeometry& g : {many_outputs, long_rows}) {
    const Tensor x = test::RandomTensor(g.picture(), 1), dy = test::RandomTensor(g.result(), 2);
    for (const char* precision : {"f32", "bf16"}) {
      const Tensor expected = Run(g, x, dy, precision).outputs[0];
      for (int threads : {1, 3, 16}) {
        test::CallOptions options;
        options.threads = threads;
        EXPECT_TRUE(Run(g, x, dy, precision, options).outputs[0] == expected);
      }
    }
  }
}

EMU_TEST(SaysWhatDoesNotFit) {
  const ConvolutionGeometry g = {1, 4, 4, 3, 8, 3, 3, 1, {1, 1, 1, 1}};
  const Tensor x = test::RandomTensor(g.picture(), 1), dy = test::RandomTensor(g.result(), 2);
  ConvolutionGeometry unpadded = g;
  unpadded.padding = {0, 0, 0, 0};
  EXPECT_EQ(
      Run(unpadded, x, dy).status.message(),
      "[convolutionGradientWeight] a picture 4x4 gives 2x2, dy has 4x4: got f32[1,4,4,3], f32[1,4,4,8]");
  EXPECT_EQ(Run(g, x, dy, "f64").status.message(),
            "[convolutionGradientWeight] precision \"f64\" is not one of f32, bf16");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
