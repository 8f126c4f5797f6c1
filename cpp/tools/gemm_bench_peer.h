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

// A convolution of [batch,height,width,channels]; a linear product is one over pictures of one pixel.
struct BenchCase {
  std::string name;
  int64_t batch, height, width, channels, outputs;
  int64_t kernel, stride, padding;

  static BenchCase Linear(const char* sizes, int64_t rows, int64_t width, int64_t outputs) {
    return {std::string("linear ") + sizes, rows, 1, 1, width, outputs, 1, 1, 0};
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

// A function that runs the case once, weights already in the library's own layout; empty without a library.
// With bf16 its input is bf16 in memory already, which spares it the rounding that ours does.
inline std::function<void()> MakePeer(const BenchCase& c, DType dtype, int threads) {
  omp_set_num_threads(threads);
  const auto type = dtype == DType::kBf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto f32 = memory::data_type::f32;
  auto peer = std::make_shared<OneDnnPeer>();
  memory::desc source, weights, bias, target;
  const auto create = [&](const auto& primitive_description, auto primitive) {
    source = primitive_description.src_desc();
    weights = primitive_description.weights_desc();
    bias = primitive_description.bias_desc();
    target = primitive_description.dst_desc();
    peer->primitive = primitive;
  };
  const memory::desc bias_desc({c.outputs}, f32, Tag::x);
  if (c.is_linear()) {
    using Product = dnnl::inner_product_forward;
    const Product::desc description(
        dnnl::prop_kind::forward_inference, {{c.batch, c.channels}, type, Tag::ab},
        {{c.outputs, c.channels}, type, Tag::any}, bias_desc, {{c.batch, c.outputs}, f32, Tag::ab});
    const Product::primitive_desc primitive(description, peer->engine);
    create(primitive, Product(primitive));
  } else {
    using Product = dnnl::convolution_forward;
    const Product::desc description(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                    {{c.batch, c.channels, c.height, c.width}, type, Tag::nhwc},
                                    {{c.outputs, c.channels, c.kernel, c.kernel}, type, Tag::any}, bias_desc,
                                    {{c.batch, c.outputs, c.out_height(), c.out_width()}, f32, Tag::nhwc},
                                    {c.stride, c.stride}, {c.padding, c.padding}, {c.padding, c.padding});
    const Product::primitive_desc primitive(description, peer->engine);
    create(primitive, Product(primitive));
  }
  peer->Add(DNNL_ARG_SRC, source);
  peer->Add(DNNL_ARG_WEIGHTS, weights);
  peer->Add(DNNL_ARG_BIAS, bias);
  peer->Add(DNNL_ARG_DST, target);
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
