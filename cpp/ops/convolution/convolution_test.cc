#include "ops/convolution/convolution.h"

#include "base/gemm/packing.h"
#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

struct Case {
  Tensor x, weight;
  int64_t stride = 1;
  std::vector<double> padding = {0, 0, 0, 0};
  const Tensor* bias = nullptr;
  const Tensor* residual = nullptr;
  std::string activation = "none";

  int64_t OutHeight() const { return OutSide(1, 2, padding[0] + padding[1]); }
  int64_t OutWidth() const { return OutSide(2, 3, padding[2] + padding[3]); }
  TensorType OutType() const {
    return test::F32Type({x.type.shape[0], OutHeight(), OutWidth(), weight.type.shape[0]});
  }

 private:
  int64_t OutSide(int image_axis, int weight_axis, double added) const {
    const int64_t room = x.type.shape[image_axis] + int64_t(added) - weight.type.shape[weight_axis];
    return room / stride + 1;
  }
};

Case RandomCase(DType dtype, std::vector<int64_t> x, std::vector<int64_t> weight, uint64_t seed) {
  test::Random random(seed);
  const Tensor image = test::RandomValues({x[0], x[1], x[2], x[3]}, random);
  const std::vector<float> values = random.Floats(weight[0] * weight[1] * weight[2] * weight[3]);
  if (dtype == DType::kBf16) {
    return {image, test::ValuesBf16({weight[0], weight[1], weight[2], weight[3]}, values)};
  }
  return {image, test::Values({weight[0], weight[1], weight[2], weight[3]}, values)};
}

test::CallResult Run(const Case& c, const Tensor& weight, const test::CallOptions& options = {}) {
  const std::map<std::string, AttributeValue> attributes = {
      {"stride", double(c.stride)}, {"padding", c.padding}, {"activation", c.activation}};
  return test::RunCall("convolution", {&c.x, &weight, c.bias, c.residual}, {c.OutType()}, attributes,
                       options);
}

// Packs the weight as a session does at load.
Tensor Packed(const Tensor& weight) {
  const Isa isa = DetectIsa();
  const Shape& sides = weight.type.shape;
  const int64_t width = sides.product(1, 4), row_bytes = width * BytesPerElement(weight.type.dtype);
  test::Bytes rows(sides[0] * row_bytes);
  for (int64_t o = 0; o < sides[0]; ++o) {
    ConvolutionRow(weight.type.dtype, weight.bytes.data(), o, sides[1], sides[2], sides[3],
                   static_cast<char*>(rows.data()) + o * row_bytes);
  }
  Tensor packed(weight.type);
  packed.bytes = test::Bytes(PackedBytes(isa, weight.type.dtype, sides[0], width));
  PackPanels(isa, weight.type.dtype, rows.data(), sides[0], width, {0, PanelCount(isa, sides[0])},
             packed.bytes.data());
  return packed;
}

Tensor RunPacked(const Case& c, int threads = 2) {
  test::CallOptions options;
  options.threads = threads;
  options.layouts = {Layout::kPlain, Layout::kConvolution, Layout::kPlain, Layout::kPlain};
  const test::CallResult result = Run(c, Packed(c.weight), options);
  EXPECT_EQ(result.status.message(), "");
  return result.outputs[0];
}

std::vector<float> Reference(const Case& c) {
  const std::vector<float> x = c.x.Floats(), weight = c.weight.Floats();
  const Shape& image = c.x.type.shape;
  const Shape& kernel = c.weight.type.shape;
  const bool rounds = c.weight.type.dtype == DType::kBf16;
  std::vector<float> out;
  for (int64_t b = 0; b < image[0]; ++b) {
    for (int64_t pixel = 0; pixel < c.OutHeight() * c.OutWidth(); ++pixel) {
      for (int64_t o = 0; o < kernel[0]; ++o) {
        double sum = c.bias == nullptr ? 0 : c.bias->Floats()[o];
        for (int64_t tap = 0; tap < kernel[2] * kernel[3]; ++tap) {
          const int64_t i = tap / kernel[3], j = tap % kernel[3];
          const int64_t y = pixel / c.OutWidth() * c.stride + i - int64_t(c.padding[0]);
          const int64_t z = pixel % c.OutWidth() * c.stride + j - int64_t(c.padding[2]);
          if (y < 0 || y >= image[1] || z < 0 || z >= image[2]) continue;
          for (int64_t channel = 0; channel < image[3]; ++channel) {
            const float value = x[((b * image[1] + y) * image[2] + z) * image[3] + channel];
            sum += double(rounds ? ToFloat(ToBf16(value)) : value) *
                   weight[((o * kernel[1] + channel) * kernel[2] + i) * kernel[3] + j];
          }
        }
        if (c.activation == "silu") sum = sum / (1 + std::exp(-sum));
        if (c.residual != nullptr) sum += c.residual->Floats()[out.size()];
        out.push_back(static_cast<float>(sum));
      }
    }
  }
  return out;
}

EMU_TEST(AgreesWithPlainLoopsWhetherPackedAtLoadOrInTheCall) {
  struct Geometry {
    std::vector<int64_t> x, weight;
    int64_t stride;
    std::vector<double> padding;
  };
  const std::vector<Geometry> geometries = {
      {{2, 5, 6, 7}, {10, 7, 3, 3}, 1, {1, 1, 1, 1}},       // the usual block
      {{1, 9, 8, 130}, {49, 130, 3, 3}, 1, {1, 1, 1, 1}},   // a patch longer than one block of k
      {{2, 8, 8, 64}, {33, 64, 3, 3}, 2, {1, 1, 1, 1}},     // a U-Net downsampler
      {{1, 8, 7, 16}, {16, 16, 3, 3}, 2, {0, 1, 0, 1}},     // a VAE downsampler pads at the end only
      {{3, 4, 5, 20}, {70, 20, 1, 1}, 1, {0, 0, 0, 0}},     // pointwise
      {{2, 28, 28, 3}, {50, 3, 14, 14}, 14, {0, 0, 0, 0}},  // a ViT's patches
      {{1, 6, 6, 4}, {320, 4, 3, 3}, 1, {1, 1, 1, 1}},      // four latent channels
      {{1, 1, 1, 1}, {1, 1, 1, 1}, 1, {0, 0, 0, 0}},
      {{1, 2, 2, 3}, {5, 3, 4, 5}, 3, {2, 3, 4, 1}},  // a kernel larger than the picture
      {{1, 2, 3, 2}, {3, 2, 2, 2}, 1, {5, 0, 0, 6}},  // patches wholly in the padding
      {{1, 7, 7, 5}, {6, 5, 2, 3}, 4, {1, 0, 2, 0}},  // steps over pixels
      {{0, 4, 4, 3}, {6, 3, 3, 3}, 1, {1, 1, 1, 1}},  // no picture
      {{1, 3, 3, 0}, {4, 0, 3, 3}, 1, {1, 1, 1, 1}},  // no channel: zeros
  };
  uint64_t seed = 0;
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    for (const Geometry& geometry : geometries) {
      Case c = RandomCase(dtype, geometry.x, geometry.weight, ++seed);
      c.stride = geometry.stride;
      c.padding = geometry.padding;
      const auto plain = Run(c, c.weight);
      const Tensor packed = RunPacked(c);
      EXPECT_TRUE(plain.status.ok() && plain.outputs[0] == packed);
      EXPECT_LE(test::RelativeError(packed.Floats(), Reference(c)), 2e-6);
      test::Random random(seed);
      const Tensor bias = test::RandomValues({geometry.weight[0]}, random);
      Tensor residual(c.OutType());
      const std::vector<float> values = random.Floats(residual.type.shape.elements());
      std::copy(values.begin(), values.end(), residual.f32());
      c.bias = &bias;
      c.residual = &residual;
      c.activation = "silu";
      EXPECT_LE(test::RelativeError(RunPacked(c).Floats(), Reference(c)), 2e-6);
    }
  }
}

EMU_TEST(APictureAloneIsBitEqualToTheSamePictureInABatchWhateverTheThreads) {
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    Case batch = RandomCase(dtype, {5, 7, 9, 70}, {50, 70, 3, 3}, 4);
    batch.padding = {1, 1, 1, 1};
    const std::vector<float> all = RunPacked(batch).Floats();
    for (int threads : {1, 3, 16}) EXPECT_TRUE(RunPacked(batch, threads).Floats() == all);
    const std::vector<float> pictures = batch.x.Floats();
    for (int64_t picture = 0; picture < 5; ++picture) {
      const auto begin = pictures.begin() + picture * 7 * 9 * 70;
      Case alone = batch;
      alone.x = test::Values({1, 7, 9, 70}, {begin, begin + 7 * 9 * 70});
      const std::vector<float> out = RunPacked(alone).Floats();
      EXPECT_TRUE(std::equal(out.begin(), out.end(), all.begin() + picture * 7 * 9 * 50));
    }
  }
}

EMU_TEST(SaysWhatDoesNotFit) {
  Case c = RandomCase(DType::kF32, {1, 4, 4, 3}, {2, 3, 3, 3}, 1);
  const Tensor large = RandomCase(DType::kF32, {1, 1, 1, 1}, {2, 3, 5, 5}, 1).weight;
  EXPECT_EQ(
      Run(c, large).status.message(),
      "[convolution] kernel 5x5 does not fit the padded picture 4x4: got f32[1,4,4,3], f32[2,3,5,5], _, _");
  const Tensor channels = RandomCase(DType::kF32, {1, 1, 1, 1}, {2, 4, 3, 3}, 1).weight;
  EXPECT_TRUE(Run(c, channels).status.message().find("[convolution] C is 3 in x but 4 in weight") == 0);
  c.padding = {0, 0, -1, 0};
  EXPECT_TRUE(Run(c, c.weight).status.message().find("[convolution] padding 0,0,-1,0 is not four integers") ==
              0);
  c.padding = {0, 0, 0, 0};
  c.residual = &c.x;
  EXPECT_TRUE(Run(c, c.weight).status.message().find("[convolution] residual is not [1,2,2,2]") == 0);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
