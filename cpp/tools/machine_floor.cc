// What this machine can do at best, printed as JSON: multiply-adds from registers and bytes read from memory,
// on N threads. Benchmarks put their figures beside these. Built for the machine it runs on (-march=native).
//   machine_floor [threads]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "base/buffer.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace {

typedef float F32 __attribute__((vector_size(64)));

double Seconds(const std::chrono::steady_clock::time_point& start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Seconds until all threads have finished `work(thread)`.
template <typename Work>
double Parallel(int threads, Work work) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) running.emplace_back([=] { work(thread); });
  for (std::thread& thread : running) thread.join();
  return Seconds(start);
}

constexpr int kAccumulators = 12;
constexpr int64_t kRounds = 12'000'000;

volatile float sink;

void MultiplyAddF32() {
  F32 sums[kAccumulators] = {};
  const F32 a = F32{} + 1.0001f, b = F32{} + 0.5f;
  for (int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) sums[i] = a * sums[i] + b * 1e-6f;
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) asm volatile("" : "+v"(sums[i]));
  }
  float total = 0;
  for (const F32& sum : sums) total += sum[0];
  sink = total;
}

double F32Gigaflops(int threads) {
  double best = 0;
  for (int repeat = 0; repeat < 4; ++repeat) {
    const double seconds = Parallel(threads, [](int) { MultiplyAddF32(); });
    best = std::max(best, 2.0 * 16 * kAccumulators * kRounds * threads / seconds / 1e9);
  }
  return best;
}

#if defined(__AVX512BF16__)
void DotBf16() {
  __m512 sums[kAccumulators];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80);
  for (int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) asm volatile("" : "+v"(sums[i]));
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_reduce_add_ps(sum);
  sink = total;
}

double Bf16Gigaflops(int threads) {
  double best = 0;
  for (int repeat = 0; repeat < 4; ++repeat) {
    const double seconds = Parallel(threads, [](int) { DotBf16(); });
    best = std::max(best, 4.0 * 16 * kAccumulators * kRounds * threads / seconds / 1e9);
  }
  return best;
}
#else
// Without the instruction a bf16 product costs what an f32 product costs.
double Bf16Gigaflops(int threads) { return F32Gigaflops(threads); }
#endif

double GigabytesPerSecond(int threads) {
  const int64_t bytes = int64_t{512} << 20;
  std::shared_ptr<emu::Buffer> buffer;
  if (!emu::Buffer::Allocate(bytes, &buffer).ok()) return 0;
  float* data = reinterpret_cast<float*>(buffer->data());
  // Memory that was never written is one page of zeros.
  for (int64_t i = 0; i < bytes / 4; ++i) data[i] = static_cast<float>(i & 1023);
  double best = 0;
  for (int repeat = 0; repeat < 8; ++repeat) {
    const double seconds = Parallel(threads, [=](int thread) {
      const int64_t share = bytes / 64 / threads;
      const F32* from = reinterpret_cast<const F32*>(data) + thread * share;
      F32 sums[8] = {};
      for (int64_t i = 0; i + 8 <= share; i += 8) {
#pragma GCC unroll 8
        for (int lane = 0; lane < 8; ++lane) sums[lane] += from[i + lane];
      }
      float total = 0;
      for (const F32& sum : sums) total += sum[0];
      sink = total;
    });
    best = std::max(best, static_cast<double>(bytes) / seconds / 1e9);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  if (threads < 1 || threads > 256) {
    std::fprintf(stderr, "usage: machine_floor [threads 1..256]\n");
    return 2;
  }
  std::printf(
      "{\"f32GigaflopsPerSecond\":%.1f,\"bf16GigaflopsPerSecond\":%.1f,\"gigabytesPerSecond\":%.1f}\n",
      F32Gigaflops(threads), Bf16Gigaflops(threads), GigabytesPerSecond(threads));
  return 0;
}
