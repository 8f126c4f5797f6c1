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
#include "base/isa.h"

#if defined(__AVX512BF16__) || defined(__AMX_BF16__)
#include <immintrin.h>
#endif

namespace {

// The widest vector there is: the compiler is told to build for this machine.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
constexpr int kLanes = kVectorBytes / 4;
typedef float F32 __attribute__((vector_size(kVectorBytes)));

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
// Short bursts, many of them: on a shared machine the best one is the one that nobody disturbed.
constexpr int64_t kRounds = 1'200'000;
constexpr int kBursts = 150;

volatile float sink;

#if defined(__x86_64__)
#define EMU_IN_VECTOR(value) "+v"(value)
#else
#define EMU_IN_VECTOR(value) "+w"(value)
#endif

// Twelve independent chains hide the latency; named one by one, since GCC keeps an array of them in memory.
#define EMU_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

void MultiplyAddF32() {
  const F32 a = F32{} + 0.999f, b = F32{} + 1e-3f;
#define EMU_DECLARE(i) F32 sum##i = b;
#define EMU_MULTIPLY(i)    \
  sum##i = a * sum##i + b; \
  asm volatile("" : EMU_IN_VECTOR(sum##i));
#define EMU_TOTAL(i) total += sum##i[0];
  EMU_CHAINS(EMU_DECLARE)
  for (int64_t round = 0; round < kRounds; ++round) {
    EMU_CHAINS(EMU_MULTIPLY)
  }
  float total = 0;
  EMU_CHAINS(EMU_TOTAL)
  sink = total;
}

double F32Gigaflops(int threads) {
  double best = 0;
  for (int burst = 0; burst < kBursts; ++burst) {
    const double seconds = Parallel(threads, [](int) { MultiplyAddF32(); });
    best = std::max(best, 2.0 * kLanes * kAccumulators * kRounds * threads / seconds / 1e9);
  }
  return best;
}

#if defined(__AVX512BF16__)
void DotBf16() {
  const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3c003c00);
#define EMU_DECLARE_DOT(i) __m512 sum##i = _mm512_setzero_ps();
#define EMU_DOT(i)                         \
  sum##i = _mm512_dpbf16_ps(sum##i, a, a); \
  asm volatile("" : EMU_IN_VECTOR(sum##i));
#define EMU_TOTAL_DOT(i) total += _mm512_reduce_add_ps(sum##i);
  EMU_CHAINS(EMU_DECLARE_DOT)
  for (int64_t round = 0; round < kRounds; ++round) {
    EMU_CHAINS(EMU_DOT)
  }
  float total = 0;
  EMU_CHAINS(EMU_TOTAL_DOT)
  sink = total;
}

double VectorBf16Gigaflops(int threads) {
  double best = 0;
  for (int burst = 0; burst < kBursts; ++burst) {
    const double seconds = Parallel(threads, [](int) { DotBf16(); });
    best = std::max(best, 4.0 * 16 * kAccumulators * kRounds * threads / seconds / 1e9);
  }
  return best;
}
#else
// Without the instruction a bf16 product costs what an f32 product costs.
double VectorBf16Gigaflops(int threads) { return F32Gigaflops(threads); }
#endif

#if defined(__AMX_BF16__)
constexpr int kTileSide = 16;
constexpr int64_t kFlopsPerTileProduct = 2 * kTileSide * kTileSide * 32;
constexpr int kTileAccumulators = 6;
constexpr int64_t kTileRounds = 100'000;

void DotTiles() {
  // The layout that LDTILECFG reads.
  struct alignas(64) {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int tile = 0; tile < kTileAccumulators + 2; ++tile) {
    config.row_bytes[tile] = 64;
    config.rows[tile] = kTileSide;
  }
  _tile_loadconfig(&config);
  alignas(64) float sums[kTileSide * kTileSide];
  // Tile intrinsics take literal numbers.
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t round = 0; round < kTileRounds; ++round) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_stored(0, sums, 64);
  sink = sums[0];
  _tile_release();
}

double TileBf16Gigaflops(int threads) {
  if (!emu::IsaAvailable(emu::Isa::kAmx)) return 0;
  double best = 0;
  for (int burst = 0; burst < kBursts; ++burst) {
    const double seconds = Parallel(threads, [](int) { DotTiles(); });
    const double flops =
        static_cast<double>(kFlopsPerTileProduct) * kTileAccumulators * kTileRounds * threads;
    best = std::max(best, flops / seconds / 1e9);
  }
  return best;
}
#else
double TileBf16Gigaflops(int) { return 0; }
#endif

// Vectors or tiles, whichever multiply faster here.
double Bf16Gigaflops(int threads) {
  return std::max(VectorBf16Gigaflops(threads), TileBf16Gigaflops(threads));
}

double GigabytesPerSecond(int threads) {
  const int64_t bytes = int64_t{512} << 20;
  std::shared_ptr<emu::Buffer> buffer;
  if (!emu::Buffer::Allocate(bytes, &buffer).ok()) return 0;
  float* data = reinterpret_cast<float*>(buffer->data());
  // Memory that was never written is one page of zeros.
  for (int64_t i = 0; i < bytes / 4; ++i) data[i] = static_cast<float>(i & 1023);
  double best = 0;
  for (int burst = 0; burst < kBursts / 3; ++burst) {
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
