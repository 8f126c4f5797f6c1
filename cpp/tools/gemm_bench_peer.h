// The same products by another library, for comparison in one run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#if EMU_BENCH_ONEDNN
#include <omp.h>

#include <dnnl.hpp>
#endif

#include "base/tensor_type.h"

namespace emu {

// What is computed of a convolution (or linear product): the result from a weight packed at load or lying
// plain, the gradient of its input or of its weight.
enum class BenchKind { kPacked, kPlain, kGradientInput, kGradientWeight };

// A convolution of [batch,height,width,channels]; a linear product is one over pictures of one pixel.
struct BenchCase {
  std::string name;
  int64_t batch, height, width, channels, outputs;
  int64_t kernel, stride, padding;
  BenchKind kind = BenchKind::kPacked;

  static BenchCase Linear(const char* sizes, int64_t rows, int64_t width, int64_t outputs) {
    return {std::string("linear ") + sizes, rows, 1, 1, width, outputs, 1, 1, 0};
  }
  BenchCase As(BenchKind as, const char* prefix) const {
    BenchCase other = *this;
    other.kind = as;
    other.name = prefix + name;
    return other;
  }
  bool is_linear() const { return height == 1 && width == 1; }
  int64_t out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  int64_t pixels() const { return batch * out_height() * out_width(); }
  int64_t patch() const { return kernel * kernel * channels; }
};

}  // namespace emu

#if EMU_BENCH_ONEDNN
namespace emu {

using dnnl::memory;
using Tag = memory::format_tag;

struct OneDnnPeer {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;

  // One half everywhere, in either format: 0x3f003f00 read as f32 is about 0.5.
  void Add(int role, const memory::desc& description) {
    memory block(description, engine);
    auto* words = static_cast<uint16_t*>(block.get_data_handle());
    for (size_t i = 0; i < description.get_size() / 2; ++i) words[i] = 0x3f00;
    arguments.emplace(role, block);
  }
};

// A function that runs the case once; empty without a library. A packed weight is already in the library's
// own layout, everything else lies plain. With bf16 its operands are bf16 in memory already, which spares it
// the rounding that ours does.
inline std::function<void()> MakePeer(const BenchCase& c, DType dtype, int threads) {
  omp_set_num_threads(threads);
  const auto type = dtype == DType::kBf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto f32 = memory::data_type::f32;
  auto peer = std::make_shared<OneDnnPeer>();
  const auto add = [&](std::initializer_list<std::pair<int, memory::desc>> arguments) {
    for (const auto& [role, description] : arguments) peer->Add(role, description);
  };
  const memory::desc bias({c.outputs}, f32, Tag::x);
  if (c.is_linear() && c.kind != BenchKind::kPacked) {
    // Rows of dy or x times a weight, each as it lies: [M,K] [K,N] with one of them transposed.
    const bool of_weight = c.kind == BenchKind::kGradientWeight,
               of_input = c.kind == BenchKind::kGradientInput;
    const int64_t m = of_weight ? c.outputs : c.batch, k = of_weight  ? c.batch
                                                           : of_input ? c.outputs
                                                                      : c.channels;
    const int64_t n = of_weight || of_input ? c.channels : c.outputs;
    const dnnl::matmul::desc description({{m, k}, type, of_weight ? Tag::ba : Tag::ab},
                                         {{k, n}, type, of_weight || of_input ? Tag::ab : Tag::ba},
                                         {{m, n}, f32, Tag::ab});
    const dnnl::matmul::primitive_desc made(description, peer->engine);
    peer->primitive = dnnl::matmul(made);
    add({{DNNL_ARG_SRC, made.src_desc()},
         {DNNL_ARG_WEIGHTS, made.weights_desc()},
         {DNNL_ARG_DST, made.dst_desc()}});
  } else if (c.is_linear()) {
    using Product = dnnl::inner_product_forward;
    const Product::desc description(
        dnnl::prop_kind::forward_inference, {{c.batch, c.channels}, type, Tag::ab},
        {{c.outputs, c.channels}, type, Tag::any}, bias, {{c.batch, c.outputs}, f32, Tag::ab});
    const Product::primitive_desc made(description, peer->engine);
    peer->primitive = Product(made);
    add({{DNNL_ARG_SRC, made.src_desc()},
         {DNNL_ARG_WEIGHTS, made.weights_desc()},
         {DNNL_ARG_BIAS, made.bias_desc()},
         {DNNL_ARG_DST, made.dst_desc()}});
  } else {
    const bool gradient = c.kind == BenchKind::kGradientInput || c.kind == BenchKind::kGradientWeight;
    const memory::desc x({c.batch, c.channels, c.height, c.width},
                         c.kind == BenchKind::kGradientInput ? f32 : type, Tag::nhwc);
    const memory::desc y({c.batch, c.outputs, c.out_height(), c.out_width()}, gradient ? type : f32,
                         Tag::nhwc);
    const memory::dims sides = {c.outputs, c.channels, c.kernel, c.kernel};
    const memory::desc weight(sides, c.kind == BenchKind::kGradientWeight ? f32 : type, Tag::any);
    const memory::dims strides = {c.stride, c.stride}, padding = {c.padding, c.padding};
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const dnnl::convolution_forward::desc forward(dnnl::prop_kind::forward_training, algorithm,
                                                  {x.dims(), type, Tag::nhwc}, {sides, type, Tag::any}, bias,
                                                  {y.dims(), f32, Tag::nhwc}, strides, padding, padding);
    const dnnl::convolution_forward::primitive_desc hint(forward, peer->engine);
    if (c.kind == BenchKind::kGradientInput) {
      const dnnl::convolution_backward_data::desc description(algorithm, x, weight, y, strides, padding,
                                                              padding);
      const dnnl::convolution_backward_data::primitive_desc made(description, peer->engine, hint);
      peer->primitive = dnnl::convolution_backward_data(made);
      add({{DNNL_ARG_DIFF_SRC, made.diff_src_desc()},
           {DNNL_ARG_WEIGHTS, made.weights_desc()},
           {DNNL_ARG_DIFF_DST, made.diff_dst_desc()}});
    } else if (c.kind == BenchKind::kGradientWeight) {
      const dnnl::convolution_backward_weights::desc description(algorithm, x, weight, y, strides, padding,
                                                                 padding);
      const dnnl::convolution_backward_weights::primitive_desc made(description, peer->engine, hint);
      peer->primitive = dnnl::convolution_backward_weights(made);
      add({{DNNL_ARG_SRC, made.src_desc()},
           {DNNL_ARG_DIFF_WEIGHTS, made.diff_weights_desc()},
           {DNNL_ARG_DIFF_DST, made.diff_dst_desc()}});
    } else {
      peer->primitive = dnnl::convolution_forward(hint);
      add({{DNNL_ARG_SRC, hint.src_desc()},
           {DNNL_ARG_WEIGHTS, hint.weights_desc()},
           {DNNL_ARG_BIAS, hint.bias_desc()},
           {DNNL_ARG_DST, hint.dst_desc()}});
    }
  }
  return [peer] {
    peer->primitive.execute(peer->stream, peer->arguments);
    peer->stream.wait();
  };
}

}  // namespace emu

#else

namespace emu {
inline std::function<void()> MakePeer(const BenchCase&, DType, int) { return {}; }
}  // namespace emu

#endif
