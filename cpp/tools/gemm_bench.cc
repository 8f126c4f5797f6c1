// Times linear and convolution through their planners, on packed weights and huge pages as a session holds
// them, and the products of a training step ("step"): weights that lie plain, gradients of inputs and
// weights.
//
//   gemm_bench [--threads N] [--seconds S] [--case TEXT]
//
// One line per case and weight dtype: best time, GFLOP/s, GB/s of weights read. --case keeps the cases whose
// name contains the text. Built with EMU_BENCH_ONEDNN, oneDNN runs the same product in turn with ours.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/gemm/packing.h"
#include "base/thread_pool.h"
#include "runtime/op_table.h"
#include "tools/gemm_bench_peer.h"

namespace emu {
namespace {

struct Options {
  int threads = AvailableCores();
  double seconds = 1;
  std::string only;
};

std::shared_ptr<Buffer> Allocate(int64_t bytes) {
  std::shared_ptr<Buffer> buffer;
  if (const Status status = Buffer::Allocate(bytes, &buffer); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }
  return buffer;
}

// Memory that was never written is one shared page of zeros, which reads faster than any real memory: every
// buffer is filled. Small values that are exact in bf16.
std::shared_ptr<Buffer> Filled(int64_t elements, DType dtype) {
  const auto buffer = Allocate(elements * BytesPerElement(dtype));
  uint32_t state = 12345;
  for (int64_t i = 0; i < elements; ++i) {
    state = state * 1664525u + 1013904223u;
    const float value = static_cast<float>(static_cast<int>(state >> 28) - 8) * 0.125f;
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint16_t upper = static_cast<uint16_t>(bits >> 16);
    if (dtype == DType::kBf16) {
      std::memcpy(buffer->data() + i * 2, &upper, 2);
    } else {
      std::memcpy(buffer->data() + i * 4, &bits, 4);
    }
  }
  return buffer;
}

// With one thread the time that it computed, so that other programs disturb less.
double Seconds(int threads) {
  if (threads == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Best time of several runs of each function, taking turns so that a noisy moment hits all of them.
std::vector<double> BestTimes(const std::vector<std::function<void()>>& functions, const Options& options) {
  std::vector<double> best(functions.size(), 1e30);
  const double until = Seconds(options.threads) + options.seconds * static_cast<double>(functions.size());
  for (int round = 0; round < 3 || Seconds(options.threads) < until; ++round) {
    for (size_t i = 0; i < functions.size(); ++i) {
      const double begin = Seconds(options.threads);
      functions[i]();
      const double time = Seconds(options.threads) - begin;
      if (time < best[i]) best[i] = time;
    }
  }
  return best;
}

Shape Sides(std::initializer_list<int64_t> sides) {
  Shape shape;
  for (int64_t side : sides) shape.sides[shape.rank++] = side;
  return shape;
}

// A planned call with its memory.
class PlannedCall {
 public:
  PlannedCall(const BenchCase& c, DType dtype, ThreadPool* pool) : pool_(pool) {
    CallTypes call = Describe(c, dtype);
    call.isa = DetectIsa();
    call.threads = pool->threads();
    call.layouts.resize(call.inputs.size(), Layout::kPlain);
    if (c.kind == BenchKind::kPacked)
      call.layouts[1] = c.is_linear() ? Layout::kLinear : Layout::kConvolution;
    call.outputs = {out_type_};
    if (const Status status = FindOp(call.op)->plan(call, &plan_); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.message().c_str());
      std::exit(1);
    }
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      buffers_.push_back(nullptr);
      if (call.inputs[i] == nullptr) continue;
      const TensorType& type = types_[i];
      buffers_[i] = Filled(type.shape.elements(), type.dtype);
      if (call.layouts[i] != Layout::kPlain) buffers_[i] = Packed(*buffers_[i], dtype, c);
      inputs_[i] = buffers_[i]->data();
    }
    out_ = Filled(out_type_.shape.elements(), DType::kF32);
    shared_ = Allocate(plan_.shared_scratch_bytes);
    for (int i = 0; i < pool->threads(); ++i) scratch_.push_back(Allocate(plan_.thread_scratch_bytes));
    outputs_[0] = out_->data();
  }

  void Run() {
    for (phase_ = 0; phase_ < static_cast<int>(plan_.phase_tasks.size()); ++phase_) {
      pool_->Run(plan_.phase_tasks[static_cast<size_t>(phase_)], RunTask, this);
    }
  }

 private:
  static std::shared_ptr<Buffer> Packed(const Buffer& plain, DType dtype, const BenchCase& c) {
    const Isa isa = DetectIsa();
    const auto packed = Allocate(PackedBytes(isa, dtype, c.outputs, c.patch()));
    PackPanels(isa, dtype, plain.data(), c.outputs, c.patch(), {0, PanelCount(isa, c.outputs)},
               packed->data());
    return packed;
  }

  // Op, attributes, types_ and out_type_ of the case. Weights are of `dtype`, everything else f32.
  CallTypes Describe(const BenchCase& c, DType dtype) {
    const bool linear = c.is_linear();
    const Shape x = linear ? Sides({c.pixels(), c.patch()}) : Sides({c.batch, c.height, c.width, c.channels});
    const Shape y =
        linear ? Sides({c.pixels(), c.outputs}) : Sides({c.batch, c.out_height(), c.out_width(), c.outputs});
    const Shape weight =
        linear ? Sides({c.outputs, c.patch()}) : Sides({c.outputs, c.channels, c.kernel, c.kernel});
    const std::string precision = dtype == DType::kBf16 ? "bf16" : "f32";
    CallTypes call;
    auto& attributes = call.attributes.values;
    if (!linear) {
      attributes["stride"] = static_cast<double>(c.stride);
      attributes["padding"] = std::vector<double>(4, static_cast<double>(c.padding));
    }
    switch (c.kind) {
      case BenchKind::kPacked:
      case BenchKind::kPlain:
        call.op = linear ? "linear" : "convolution";
        attributes["activation"] = std::string("none");
        types_[0].shape = x;
        types_[1] = {weight, dtype};
        types_[2].shape = Sides({c.outputs});
        out_type_.shape = y;
        call.inputs = {&types_[0], &types_[1], &types_[2], nullptr};
        break;
      case BenchKind::kGradientInput:
        call.op = linear ? "matmul" : "convolutionGradientInput";
        types_[0].shape = y;
        types_[1] = {weight, dtype};
        out_type_.shape = x;
        call.inputs = {&types_[0], &types_[1]};
        attributes["height"] = static_cast<double>(c.height);
        attributes["width"] = static_cast<double>(c.width);
        break;
      case BenchKind::kGradientWeight:
        call.op = linear ? "matmul" : "convolutionGradientWeight";
        types_[0].shape = linear ? y : x;
        types_[1].shape = linear ? x : y;
        out_type_.shape = weight;
        call.inputs = {&types_[0], &types_[1]};
        attributes["kernelHeight"] = attributes["kernelWidth"] = static_cast<double>(c.kernel);
        break;
    }
    attributes["precision"] = precision;
    attributes["transposeA"] = c.kind == BenchKind::kGradientWeight ? 1.0 : 0.0;
    attributes["transposeB"] = 0.0;
    return call;
  }

  static void RunTask(void* context, int64_t task, int thread) {
    PlannedCall& call = *static_cast<PlannedCall*>(context);
    call.plan_.run({call.inputs_, call.outputs_, call.shared_->data(),
                    call.scratch_[static_cast<size_t>(thread)]->data(), call.phase_, task});
  }

  TensorType types_[3];
  TensorType out_type_;
  CallPlan plan_;
  ThreadPool* pool_;
  std::shared_ptr<Buffer> out_, shared_;
  std::vector<std::shared_ptr<Buffer>> buffers_, scratch_;
  void* inputs_[4] = {};
  void* outputs_[1] = {};
  int phase_ = 0;
};

// The products of a training step: a batch of 8 x 256 tokens through layers of 256 and 512, pictures of a
// small U-Net, and the narrow layers of emu-tiny.
const BenchCase kTraining[] = {
    BenchCase::Linear("512x256x608", 512, 256, 608),
    BenchCase::Linear("1040x128x512", 1040, 128, 512),
    BenchCase::Linear("8192x48x48", 8192, 48, 48),
    BenchCase::Linear("8192x48x384", 8192, 48, 384),
    BenchCase::Linear("8192x384x48", 8192, 384, 48),
    {"conv [32,16,16,48]->48", 32, 16, 16, 48, 48, 3, 1, 1},
    {"conv [32,16,16,112]->48", 32, 16, 16, 112, 48, 3, 1, 1},
    BenchCase::Linear("2048x256x256", 2048, 256, 256),
    BenchCase::Linear("2048x256x688", 2048, 256, 688),
    BenchCase::Linear("2048x688x256", 2048, 688, 256),
    BenchCase::Linear("2048x256x1170", 2048, 256, 1170),
    BenchCase::Linear("2048x512x512", 2048, 512, 512),
    BenchCase::Linear("2048x512x1376", 2048, 512, 1376),
    BenchCase::Linear("2048x512x32000", 2048, 512, 32000),
    {"conv [16,16,16,32]->32", 16, 16, 16, 32, 32, 3, 1, 1},
    {"conv [16,16,16,64]->64", 16, 16, 16, 64, 64, 3, 1, 1},
    {"conv [16,16,16,128]->128", 16, 16, 16, 128, 128, 3, 1, 1},
    {"conv [8,64,64,32]->32", 8, 64, 64, 32, 32, 3, 1, 1},
    {"conv [8,64,64,64]->64", 8, 64, 64, 64, 64, 3, 1, 1},
    {"conv stride 2 [8,64,64,64]->64", 8, 64, 64, 64, 64, 3, 2, 1},
};

std::vector<BenchCase> TrainingCases() {
  std::vector<BenchCase> cases;
  for (const BenchCase& c : kTraining) {
    cases.push_back(c.As(BenchKind::kPacked, "step packed "));
    cases.push_back(c.As(BenchKind::kPlain, "step plain "));
    cases.push_back(c.As(BenchKind::kGradientInput, "step dx "));
    cases.push_back(c.As(BenchKind::kGradientWeight, "step dw "));
  }
  return cases;
}

const std::vector<BenchCase> kCases = {
    BenchCase::Linear("512x512x512", 512, 512, 512),
    BenchCase::Linear("2048x2048x2048", 2048, 2048, 2048),
    BenchCase::Linear("512x5120x13824", 512, 5120, 13824),
    BenchCase::Linear("32x5120x13824", 32, 5120, 13824),
    BenchCase::Linear("8x5120x13824", 8, 5120, 13824),
    BenchCase::Linear("2x5120x13824", 2, 5120, 13824),
    BenchCase::Linear("1x5120x13824", 1, 5120, 13824),
    BenchCase::Linear("1x2048x2048", 1, 2048, 2048),
    BenchCase::Linear("32x256x256", 32, 256, 256),
    BenchCase::Linear("32x256x768", 32, 256, 768),
    BenchCase::Linear("32x256x608", 32, 256, 608),
    BenchCase::Linear("32x256x1216", 32, 256, 1216),
    BenchCase::Linear("32x608x256", 32, 608, 256),
    BenchCase::Linear("257x1408x6144", 257, 1408, 6144),
    {"conv [2,64,64,320]->320", 2, 64, 64, 320, 320, 3, 1, 1},
    {"conv [2,32,32,640]->640", 2, 32, 32, 640, 640, 3, 1, 1},
    {"conv [2,16,16,1280]->1280", 2, 16, 16, 1280, 1280, 3, 1, 1},
    {"conv [2,8,8,1280]->1280", 2, 8, 8, 1280, 1280, 3, 1, 1},
    {"conv [2,16,16,2560]->1280", 2, 16, 16, 2560, 1280, 3, 1, 1},
    {"conv [2,32,32,960]->640", 2, 32, 32, 960, 640, 3, 1, 1},
    {"conv [2,64,64,640]->320", 2, 64, 64, 640, 320, 3, 1, 1},
    {"conv [1,512,512,128]->128", 1, 512, 512, 128, 128, 3, 1, 1},
    {"conv stride 2 [2,64,64,320]->320", 2, 64, 64, 320, 320, 3, 2, 1},
    {"conv 1x1 [2,64,64,640]->320", 2, 64, 64, 640, 320, 1, 1, 0},
    {"conv [2,64,64,4]->320", 2, 64, 64, 4, 320, 3, 1, 1},
    {"conv [2,64,64,320]->4", 2, 64, 64, 320, 4, 3, 1, 1},
    {"conv 14x14 stride 14 [1,224,224,3]->1408", 1, 224, 224, 3, 1408, 14, 14, 0},
};

void RunCase(const BenchCase& c, DType dtype, const Options& options, ThreadPool* pool) {
  PlannedCall call(c, dtype, pool);
  std::vector<std::function<void()>> functions = {[&] { call.Run(); }};
  if (std::function<void()> peer = MakePeer(c, dtype, options.threads)) functions.push_back(std::move(peer));
  const std::vector<double> best = BestTimes(functions, options);
  const double flops = 2.0 * static_cast<double>(c.pixels() * c.outputs * c.patch());
  const double bytes = static_cast<double>(c.outputs * c.patch() * BytesPerElement(dtype));
  std::printf("%-44s %-4s %9.3f ms %7.1f GFLOP/s %6.1f GB/s", c.name.c_str(),
              dtype == DType::kF32 ? "f32" : "bf16", best[0] * 1e3, flops / best[0] * 1e-9,
              bytes / best[0] * 1e-9);
  if (best.size() > 1)
    std::printf("   oneDNN %7.1f GFLOP/s, ratio %.2f", flops / best[1] * 1e-9, best[1] / best[0]);
  std::printf("\n");
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--threads") == 0) options.threads = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--seconds") == 0) options.seconds = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--case") == 0) options.only = argv[i + 1];
  }
  if (options.threads < 1 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: gemm_bench [--threads N] [--seconds S] [--case TEXT]\n");
    return 2;
  }
  ThreadPool pool(options.threads);
  std::printf("%s, %d threads\n", IsaName(DetectIsa()), options.threads);
  std::vector<BenchCase> cases = kCases;
  for (BenchCase& c : TrainingCases()) cases.push_back(std::move(c));
  for (const BenchCase& c : cases) {
    if (c.name.find(options.only) == std::string::npos) continue;
    for (DType dtype : {DType::kF32, DType::kBf16}) RunCase(c, dtype, options, &pool);
  }
  return 0;
}

}  // namespace
}  // namespace emu

int main(int argc, char** argv) { return emu::Main(argc, argv); }
