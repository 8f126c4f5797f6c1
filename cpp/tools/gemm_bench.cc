// Times linear and convolution through their planners, on packed weights and huge pages as a session holds
// them.
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

// A planned call with its memory.
class PlannedCall {
 public:
  PlannedCall(const BenchCase& c, DType dtype, ThreadPool* pool) : pool_(pool) {
    const int64_t rows = c.pixels(), patch = c.patch();
    types_[0].shape = c.is_linear() ? Sides({rows, patch}) : Sides({c.batch, c.height, c.width, c.channels});
    types_[1].shape =
        c.is_linear() ? Sides({c.outputs, patch}) : Sides({c.outputs, c.channels, c.kernel, c.kernel});
    types_[1].dtype = dtype;
    types_[2].shape = Sides({c.outputs});
    types_[3].shape =
        c.is_linear() ? Sides({rows, c.outputs}) : Sides({c.batch, c.out_height(), c.out_width(), c.outputs});
    const Isa isa = DetectIsa();
    CallTypes call;
    call.op = c.is_linear() ? "linear" : "convolution";
    call.inputs = {&types_[0], &types_[1], &types_[2], nullptr};
    const Layout layout = c.is_linear() ? Layout::kLinear : Layout::kConvolution;
    call.layouts = {Layout::kPlain, layout, Layout::kPlain, Layout::kPlain};
    call.outputs = {types_[3]};
    call.attributes.values = {{"activation", std::string("none")}};
    if (!c.is_linear()) {
      const double padding = static_cast<double>(c.padding);
      call.attributes.values["stride"] = static_cast<double>(c.stride);
      call.attributes.values["padding"] = std::vector<double>(4, padding);
    }
    call.isa = isa;
    call.threads = pool->threads();
    if (const Status status = FindOp(call.op)->plan(call, &plan_); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.message().c_str());
      std::exit(1);
    }
    const auto plain = Filled(c.outputs * patch, dtype);
    packed_ = Allocate(PackedBytes(isa, dtype, c.outputs, patch));
    PackPanels(isa, dtype, plain->data(), c.outputs, patch, {0, PanelCount(isa, c.outputs)}, packed_->data());
    x_ = Filled(types_[0].shape.elements(), DType::kF32);
    bias_ = Filled(c.outputs, DType::kF32);
    out_ = Filled(types_[3].shape.elements(), DType::kF32);
    shared_ = Allocate(plan_.shared_scratch_bytes);
    for (int i = 0; i < pool->threads(); ++i) scratch_.push_back(Allocate(plan_.thread_scratch_bytes));
    inputs_[0] = x_->data();
    inputs_[1] = packed_->data();
    inputs_[2] = bias_->data();
    outputs_[0] = out_->data();
  }

  void Run() {
    for (phase_ = 0; phase_ < static_cast<int>(plan_.phase_tasks.size()); ++phase_) {
      pool_->Run(plan_.phase_tasks[static_cast<size_t>(phase_)], RunTask, this);
    }
  }

 private:
  static Shape Sides(std::initializer_list<int64_t> sides) {
    Shape shape;
    for (int64_t side : sides) shape.sides[shape.rank++] = side;
    return shape;
  }

  static void RunTask(void* context, int64_t task, int thread) {
    PlannedCall& call = *static_cast<PlannedCall*>(context);
    call.plan_.run({call.inputs_, call.outputs_, call.shared_->data(),
                    call.scratch_[static_cast<size_t>(thread)]->data(), call.phase_, task});
  }

  TensorType types_[4];
  CallPlan plan_;
  ThreadPool* pool_;
  std::shared_ptr<Buffer> packed_, x_, bias_, out_, shared_;
  std::vector<std::shared_ptr<Buffer>> scratch_;
  void* inputs_[4] = {};
  void* outputs_[1] = {};
  int phase_ = 0;
};

const std::vector<BenchCase> kCases = {
    BenchCase::Linear("512x512x512", 512, 512, 512),
    BenchCase::Linear("2048x2048x2048", 2048, 2048, 2048),
    BenchCase::Linear("512x5120x13824", 512, 5120, 13824),
    BenchCase::Linear("32x5120x13824", 32, 5120, 13824),
    BenchCase::Linear("8x5120x13824", 8, 5120, 13824),
    BenchCase::Linear("2x5120x13824", 2, 5120, 13824),
    BenchCase::Linear("1x5120x13824", 1, 5120, 13824),
    BenchCase::Linear("1x2048x2048", 1, 2048, 2048),
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
  for (const BenchCase& c : kCases) {
    if (c.name.find(options.only) == std::string::npos) continue;
    for (DType dtype : {DType::kF32, DType::kBf16}) RunCase(c, dtype, options, &pool);
  }
  return 0;
}

}  // namespace
}  // namespace emu

int main(int argc, char** argv) { return emu::Main(argc, argv); }
