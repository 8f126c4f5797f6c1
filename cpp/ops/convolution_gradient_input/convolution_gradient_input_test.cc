#include "base/test_convolution.h"

namespace emu {
namespace {

using test::ConvolutionGeometry;
using test::Tensor;

test::CallResult Run(const ConvolutionGeometry& g, const Tensor& dy, const Tensor& weight,
                     const test::CallOptions& options = {}) {
  auto attributes = g.steps();
  attributes["height"] = double(g.height);
  attributes["width"] = double(g.width);
  return test::RunCall("convolutionGradientInput", {&dy, &weight}, {g.picture()}, attributes, options);
}

EMU_TEST(AgreesWithPlainLoops) {
  uint64_t seed = 0;
  for (const ConvolutionGeometry& g : test::ConvolutionGeometries()) {
    for (DType dtype : {DType::kF32, DType::kBf16}) {
      const Tensor dy = test::RandomTensor(g.result(), ++seed);
      Tensor weight = test::RandomTensor(g.kernel(), ++seed);
      if (dtype == DType::kBf16) weight = Rounded(weight);
      const std::vector<float> kernel = weight.Floats();
      const std::vector<float> gradient = dtype == DType::kBf16 ? Rounded(dy).Floats() : dy.Floats();
      std::vector<double> sums(static_cast<size_t>(g.picture().shape.elements()));
      g.ForEachProduct([&](int64_t picture, int64_t at, int64_t result) {
        sums[picture] += double(gradient[result]) * kernel[at];
      });
      const auto result = Run(g, dy, weight);
      EXPECT_EQ(result.status.message(), "");
      if (!result.status.ok()) continue;
      EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), {sums.begin(), sums.end()}), 3e-6);
    }
  }
}

EMU_TEST(ThreadsNeverChangeABit) {
  for (int64_t stride : {1, 2}) {
    const ConvolutionGeometry g = {3, 14, 13, 50, 70, 3, 3, stride, {1, 1, 1, 1}};
    const Tensor dy = test::RandomTensor(g.result(), 1), weight = test::RandomTensor(g.kernel(), 2);
    const Tensor expected = Run(g, dy, weight).outputs[0];
    for (int threads : {1, 3, 16}) {
      test::CallOptions options;
      options.threads = threads;
      EXPECT_TRUE(Run(g, dy, weight, options).outputs[0] == expected);
    }
  }
}

EMU_TEST(SaysWhatDoesNotFit) {
  const ConvolutionGeometry g = {1, 4, 4, 3, 8, 3, 3, 1, {1, 1, 1, 1}};
  const Tensor dy = test::RandomTensor(g.result(), 1), weight = test::RandomTensor(g.kernel(), 2);
  ConvolutionGeometry taller = g;
  taller.height = 5;
  EXPECT_EQ(Run(taller, dy, weight).status.message(),
            "[convolutionGradientInput] a picture 5x4 gives 5x4, dy has 4x4: got f32[1,4,4,8], f32[8,3,3,3]");
  ConvolutionGeometry unpadded = g;
  unpadded.padding = {0, 0, -1, 0};
  EXPECT_TRUE(Run(unpadded, dy, weight)
                  .status.message()
                  .find("[convolutionGradientInput] padding 0,0,-1,0 is not four integers") == 0);
  test::CallOptions options;
  options.layouts = {Layout::kPlain, Layout::kConvolution};
  EXPECT_EQ(Run(g, dy, weight, options).status.message(),
            "[convolutionGradientInput] weight is packed: got f32[1,4,4,8], f32[8,3,3,3]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
