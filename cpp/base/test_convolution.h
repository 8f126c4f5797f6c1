// Cases of the gradients of convolution, for their tests.
#pragma once

#include <functional>
#include <vector>

#include "base/test_call.h"

namespace emu::test {

struct ConvolutionGeometry {
  int64_t batch, height, width, channels, outputs, kernel_height, kernel_width, stride;
  std::vector<double> padding;  // top, bottom, left, right

  int64_t out_height() const {
    return (height + int64_t(padding[0] + padding[1]) - kernel_height) / stride + 1;
  }
  int64_t out_width() const { return (width + int64_t(padding[2] + padding[3]) - kernel_width) / stride + 1; }
  TensorType picture() const { return F32Type({batch, height, width, channels}); }
  TensorType kernel() const { return F32Type({outputs, channels, kernel_height, kernel_width}); }
  TensorType result() const { return F32Type({batch, out_height(), out_width(), outputs}); }
  std::map<std::string, AttributeValue> steps() const {
    return {{"stride", double(stride)}, {"padding", padding}};
  }

  // Calls visit(picture index, kernel index, result index) for every product of the convolution.
  void ForEachProduct(const std::function<void(int64_t, int64_t, int64_t)>& visit) const {
    for (int64_t pixel = 0; pixel < batch * out_height() * out_width(); ++pixel) {
      const int64_t b = pixel / (out_height() * out_width());
      for (int64_t place = 0; place < kernel_height * kernel_width; ++place) {
        const int64_t y =
            pixel / out_width() % out_height() * stride + place / kernel_width - int64_t(padding[0]);
        const int64_t x = pixel % out_width() * stride + place % kernel_width - int64_t(padding[2]);
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        for (int64_t o = 0; o < outputs; ++o) {
          for (int64_t c = 0; c < channels; ++c) {
            visit(((b * height + y) * width + x) * channels + c,
                  (o * channels + c) * kernel_height * kernel_width + place, pixel * outputs + o);
          }
        }
      }
    }
  }
};

inline std::vector<ConvolutionGeometry> ConvolutionGeometries() {
  return {
      {2, 5, 6, 7, 10, 3, 3, 1, {1, 1, 1, 1}},       // the usual block
      {1, 9, 8, 70, 49, 3, 3, 1, {1, 1, 1, 1}},      // sums longer than one block of k
      {2, 17, 16, 33, 20, 3, 3, 1, {1, 1, 1, 1}},    // more pixels than one block
      {2, 5, 35, 9, 13, 3, 3, 1, {1, 1, 1, 1}},      // long rows
      {1, 6, 70, 40, 45, 3, 3, 2, {0, 1, 0, 1}},     // long rows, every other pixel of which begins a patch
      {2, 8, 8, 24, 33, 3, 3, 2, {1, 1, 1, 1}},      // a U-Net downsampler
      {1, 8, 7, 16, 16, 3, 3, 2, {0, 1, 0, 1}},      // a VAE downsampler pads at the end only
      {3, 4, 5, 20, 70, 1, 1, 1, {0, 0, 0, 0}},      // pointwise
      {2, 28, 28, 3, 50, 14, 14, 14, {0, 0, 0, 0}},  // a ViT's patches
      {1, 6, 6, 4, 100, 3, 3, 1, {1, 1, 1, 1}},      // four latent channels
      {1, 1, 1, 1, 1, 1, 1, 1, {0, 0, 0, 0}},
      {1, 2, 2, 3, 5, 4, 5, 3, {2, 3, 4, 1}},  // a kernel larger than the picture
      {1, 2, 3, 2, 3, 2, 2, 2, {5, 0, 0, 6}},  // patches wholly in the padding
      {1, 3, 2, 2, 3, 2, 2, 1, {5, 0, 0, 6}},  // more padding than the kernel reaches
      {1, 7, 7, 5, 6, 2, 3, 4, {1, 0, 2, 0}},  // steps over pixels
      {0, 4, 4, 3, 6, 3, 3, 1, {1, 1, 1, 1}},  // no picture
      {1, 3, 3, 0, 4, 3, 3, 1, {1, 1, 1, 1}},  // no channel
      {1, 3, 3, 4, 0, 3, 3, 1, {1, 1, 1, 1}},  // no output
  };
}

inline Tensor RandomTensor(const TensorType& type, uint64_t seed) {
  Random random(seed);
  Tensor tensor(type);
  for (int64_t i = 0; i < type.shape.elements(); ++i) tensor.f32()[i] = random.Uniform();
  return tensor;
}

// The values rounded to bf16.
inline Tensor Rounded(const Tensor& tensor) {
  TensorType type = tensor.type;
  type.dtype = DType::kBf16;
  Tensor rounded(type);
  for (int64_t i = 0; i < type.shape.elements(); ++i) rounded.bf16()[i] = ToBf16(tensor.f32()[i]);
  return rounded;
}

}  // namespace emu::test
