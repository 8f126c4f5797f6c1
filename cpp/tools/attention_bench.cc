// Times attention, its gradient and cachedAttention at the model's shapes: attention_bench [threads
// [case-name-part]]. Prints name, best wall time, best processor time of all threads together (robust when
// others use the machine), GFLOP/s of the products that are needed (half of them when causal; the gradient
// has five where attention has two) and GB/s of keys and values.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "base/bf16.h"
#include "base/buffer.h"
#include "base/op.h"
#include "base/thread_pool.h"
#include "runtime/op_table.h"

namespace {

using namespace emu;

struct Case {
  const char* name;
  bool cached;  // decode: `queries` rows of each of `batch` slots end at position keys - 1
  DType cache_dtype;
  int64_t batch, queries, keys, heads, width;
  bool causal;
  bool gradient = false;
};

constexpr Case kCases[] = {
    {"causal-512-32x128", false, DType::kF32, 1, 512, 512, 32, 128, true},
    {"causal-2048-32x128", false, DType::kF32, 1, 2048, 2048, 32, 128, true},
    {"vit-257-16x88", false, DType::kF32, 1, 257, 257, 16, 88, false},
    {"unet-self-4096-8x40", false, DType::kF32, 1, 4096, 4096, 8, 40, false},
    {"unet-self-1024-8x80", false, DType::kF32, 1, 1024, 1024, 8, 80, false},
    {"unet-self-256-8x160", false, DType::kF32, 1, 256, 256, 8, 160, false},
    {"unet-cross-4096x32-8x40", false, DType::kF32, 1, 4096, 32, 8, 40, false},
    {"unet-cross-4096x77-8x40", false, DType::kF32, 1, 4096, 77, 8, 40, false},
    {"vae-4096-1x512", false, DType::kF32, 1, 4096, 4096, 1, 512, false},
    {"decode-f32-500-40x128", true, DType::kF32, 1, 1, 500, 40, 128, false},
    {"decode-f32-2000-40x128", true, DType::kF32, 1, 1, 2000, 40, 128, false},
    {"decode-bf16-500-40x128", true, DType::kBf16, 1, 1, 500, 40, 128, false},
    {"decode-bf16-2000-40x128", true, DType::kBf16, 1, 1, 2000, 40, 128, false},
    {"decode-bf16-192x110-8x32", true, DType::kBf16, 192, 1, 110, 8, 32, false},
    {"decode-bf16-32x500-40x128", true, DType::kBf16, 32, 1, 500, 40, 128, false},
    {"prefill-f32-512-40x128", true, DType::kF32, 1, 512, 512, 40, 128, true},
    {"narrow-256-32x4x12", false, DType::kF32, 32, 256, 256, 4, 12, false},
    {"narrow-65-16x4x32", false, DType::kF32, 16, 65, 65, 4, 32, false},
    {"gradient-narrow-256-32x4x12", false, DType::kF32, 32, 256, 256, 4, 12, false, true},
    {"gradient-narrow-65-16x4x32", false, DType::kF32, 16, 65, 65, 4, 32, false, true},
    {"gradient-256-8x8x32", false, DType::kF32, 8, 256, 256, 8, 32, true, true},
    {"gradient-512-2x8x64", false, DType::kF32, 2, 512, 512, 8, 64, true, true},
    {"gradient-257-4x4x32", false, DType::kF32, 4, 257, 257, 4, 32, false, true},
    {"gradient-2048-1x8x64", false, DType::kF32, 1, 2048, 2048, 8, 64, true, true},
};

struct Tensor {
  TensorType type;
  std::shared_ptr<Buffer> memory;

  Tensor(DType dtype, std::initializer_list<int64_t> sides) {
    type.dtype = dtype;
    for (int64_t side : sides) type.shape.sides[type.shape.rank++] = side;
    if (!Buffer::Allocate(type.bytes(), &memory).ok()) std::abort();
    uint32_t state = 1;
    for (int64_t i = 0; i < type.shape.elements(); ++i) {
      state = state * 1664525u + 1013904223u;
      const float value = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
      if (dtype == DType::kF32) reinterpret_cast<float*>(memory->data())[i] = value;
      if (dtype == DType::kBf16) reinterpret_cast<Bf16*>(memory->data())[i] = ToBf16(value);
    }
  }
  int32_t* indices() const { return reinterpret_cast<int32_t*>(memory->data()); }
};

std::vector<Tensor> MakeInputs(const Case& c) {
  if (!c.cached) {
    return {Tensor(DType::kF32, {c.batch, c.queries, c.heads, c.width}),
            Tensor(DType::kF32, {c.batch, c.keys, c.heads, c.width}),
            Tensor(DType::kF32, {c.batch, c.keys, c.heads, c.width})};
  }
  const int64_t page_rows = 16, slot_pages = (c.keys + page_rows - 1) / page_rows;
  const int64_t pages = c.batch * slot_pages, rows = c.batch * c.queries;
  std::vector<Tensor> inputs = {Tensor(DType::kF32, {rows, c.heads, c.width}),
                                Tensor(c.cache_dtype, {pages, c.heads, c.width, page_rows}),
                                Tensor(c.cache_dtype, {pages, c.heads, page_rows, c.width}),
                                Tensor(DType::kI32, {rows}),
                                Tensor(DType::kI32, {rows}),
                                Tensor(DType::kI32, {c.batch, slot_pages})};
  for (int64_t r = 0; r < rows; ++r) {
    inputs[3].indices()[r] = static_cast<int32_t>(r / c.queries);
    inputs[4].indices()[r] = static_cast<int32_t>(c.keys - c.queries + r % c.queries);
  }
  // Pages in an order that no prefetcher knows, as after some serving.
  for (int64_t p = 0; p < pages; ++p) inputs[5].indices()[p] = static_cast<int32_t>(p * 7919 % pages);
  return inputs;
}

double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Runner {
  CallPlan plan;
  std::vector<void*> inputs, outputs;
  std::vector<std::shared_ptr<Buffer>> scratch;
  int phase = 0;

  static void Task(void* context, int64_t task, int thread) {
    const Runner& own = *static_cast<Runner*>(context);
    own.plan.run({own.inputs.data(), own.outputs.data(), nullptr,
                  own.scratch[static_cast<size_t>(thread)]->data(), own.phase, task});
  }
};

void Time(const Case& c, ThreadPool& pool) {
  std::vector<Tensor> inputs = MakeInputs(c);
  if (c.gradient) {
    for (int i = 0; i < 2; ++i)
      inputs.emplace_back(DType::kF32, std::initializer_list<int64_t>{c.batch, c.queries, c.heads, c.width});
  }
  const Tensor out(DType::kF32, c.cached
                                    ? std::initializer_list<int64_t>{c.batch * c.queries, c.heads, c.width}
                                    : std::initializer_list<int64_t>{c.batch, c.queries, c.heads, c.width});
  CallTypes call;
  call.op = c.cached ? "cachedAttention" : (c.gradient ? "attentionGradient" : "attention");
  for (const Tensor& input : inputs) call.inputs.push_back(&input.type);
  // Bias, and the gradient's firstKey.
  if (!c.cached) call.inputs.insert(call.inputs.begin() + 3, c.gradient ? 2 : 1, nullptr);
  call.layouts.assign(call.inputs.size(), Layout::kPlain);
  call.outputs = {out.type};
  if (c.gradient) call.outputs = {out.type, inputs[1].type, inputs[2].type};
  call.attributes.values = {{"scale", 0.1}};
  if (!c.cached) call.attributes.values["causal"] = c.causal ? 1.0 : 0.0;
  call.isa = DetectIsa();
  call.threads = pool.threads();

  Runner runner;
  if (const Status status = FindOp(call.op)->plan(call, &runner.plan); !status.ok()) {
    std::printf("%s: %s\n", c.name, status.message().c_str());
    return;
  }
  for (const Tensor& input : inputs) runner.inputs.push_back(input.memory->data());
  if (!c.cached) runner.inputs.insert(runner.inputs.begin() + 3, c.gradient ? 2 : 1, nullptr);
  runner.outputs = {out.memory->data()};
  const Tensor dk(DType::kF32, {c.batch, c.keys, c.heads, c.width});
  const Tensor dv(DType::kF32, {c.batch, c.keys, c.heads, c.width});
  if (c.gradient) runner.outputs = {out.memory->data(), dk.memory->data(), dv.memory->data()};
  runner.scratch.resize(static_cast<size_t>(pool.threads()));
  for (auto& part : runner.scratch) {
    if (!Buffer::Allocate(runner.plan.thread_scratch_bytes, &part).ok()) std::abort();
  }
  double wall = 1e9, cpu = 1e9;
  const double deadline = Seconds(CLOCK_MONOTONIC) + 1.0;
  for (int repeat = 0; repeat < 5 || Seconds(CLOCK_MONOTONIC) < deadline; ++repeat) {
    const double wall_start = Seconds(CLOCK_MONOTONIC), cpu_start = Seconds(CLOCK_PROCESS_CPUTIME_ID);
    pool.Run(runner.plan.phase_tasks[0], Runner::Task, &runner);
    wall = std::min(wall, Seconds(CLOCK_MONOTONIC) - wall_start);
    cpu = std::min(cpu, Seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start);
  }
  const double pairs = static_cast<double>(c.batch * c.queries * c.keys * c.heads) * (c.causal ? 0.5 : 1.0);
  const double bytes = static_cast<double>(inputs[1].type.bytes()) * 2;
  std::printf("%-26s %9.3f ms wall %9.3f ms cpu %8.1f GFLOP/s %7.1f GB/s\n", c.name, wall * 1e3, cpu * 1e3,
              pairs * static_cast<double>(c.width) * (c.gradient ? 10e-9 : 4e-9) / wall, bytes * 1e-9 / wall);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::max(std::atoi(argv[1]), 1) : AvailableCores();
  ThreadPool pool(threads);
  std::printf("%s, %d threads\n", IsaName(DetectIsa()), threads);
  for (const Case& c : kCases) {
    if (argc > 2 && std::strstr(c.name, argv[2]) == nullptr) continue;
    Time(c, pool);
  }
  return 0;
}
