#include <algorithm>

#include "base/bf16.h"
#include "base/block_sums.h"
#include "base/row_vectors.h"
#include "ops/convolution_gradient_weight/convolution_gradient_weight.h"

namespace emu::EMU_ISA {
namespace {

// Accumulators, a vector of each column and one broadcast value fill the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMostOutputs = 6;
constexpr int kMostVectors = 4;
#else
constexpr int kMostOutputs = 4;
constexpr int kMostVectors = 2;
#endif
static_assert(kWindowSlack >= kMostVectors * kLanes);

void Pad(const ConvolutionShape& shape, const float* row, float* padded) {
  const int64_t pixels = (shape.out_width - 1) * shape.stride + shape.kernel_width;
  const int64_t begin = std::min(shape.left, pixels), end = std::min(shape.left + shape.width, pixels);
  const int64_t channels = shape.channels;
  std::fill(padded, padded + begin * channels, 0.0f);
  std::copy(row, row + (end - begin) * channels, padded + begin * channels);
  std::fill(padded + end * channels, padded + pixels * channels + kWindowSlack, 0.0f);
}

void Round(float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = ToFloat(ToBf16(values[i]));
}

// Lanes behind the last column are computed from what follows the window, and not stored.
template <int kOutputs, int kVectors>
void AddTile(const ConvolutionShape& shape, const float* dy, const float* window, int64_t columns,
             float* sums, int64_t step) {
  const int64_t pixel = shape.stride * shape.channels, last = columns - (kVectors - 1) * kLanes;
  F32 total[kOutputs][kVectors];
#pragma GCC unroll 6
  for (int o = 0; o < kOutputs; ++o) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const float* from = sums + o * step + v * kLanes;
      total[o][v] = v + 1 < kVectors ? Load(from) : LoadUpTo(from, last);
    }
  }
  for (int64_t q = 0; q < shape.out_width; ++q) {
    F32 x[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) x[v] = Load(window + q * pixel + v * kLanes);
#pragma GCC unroll 6
    for (int o = 0; o < kOutputs; ++o) {
      const F32 error = Splat(dy[q * shape.outputs + o]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) total[o][v] += error * x[v];
    }
  }
#pragma GCC unroll 6
  for (int o = 0; o < kOutputs; ++o) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = sums + o * step + v * kLanes;
      v + 1 < kVectors ? Store(to, total[o][v]) : StoreUpTo(to, total[o][v], last);
    }
  }
}

using Tile = void (*)(const ConvolutionShape&, const float*, const float*, int64_t, float*, int64_t);

template <int kOutputs>
constexpr Tile TileOf(int vectors) {
  if constexpr (kMostVectors == 4) {
    if (vectors == 4) return AddTile<kOutputs, 4>;
    if (vectors == 3) return AddTile<kOutputs, 3>;
  }
  return vectors == 2 ? AddTile<kOutputs, 2> : AddTile<kOutputs, 1>;
}

Tile TileOf(int outputs, int vectors) {
  switch (outputs) {
    case 1:
      return TileOf<1>(vectors);
    case 2:
      return TileOf<2>(vectors);
    case 3:
      return TileOf<3>(vectors);
    case 4:
      return TileOf<4>(vectors);
    case 5:
      return TileOf<5>(vectors);
    default:
      return TileOf<6>(vectors);
  }
}

void Add(const ConvolutionShape& shape, const float* dy, const float* padded, float* sums, int64_t step) {
  const int64_t columns = shape.kernel_width * shape.channels;
  const int64_t all = (columns + kLanes - 1) / kLanes, tiles = (all + kMostVectors - 1) / kMostVectors;
  // Tiles of about one width: a last one of a single vector would wait for its own sums.
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = tile * all / tiles, n = begin * kLanes;
    const int vectors = static_cast<int>((tile + 1) * all / tiles - begin);
    const int64_t rest = std::min<int64_t>(columns - n, vectors * kLanes);
    for (int64_t o = 0; o < shape.outputs; o += kMostOutputs) {
      const int outputs = static_cast<int>(std::min<int64_t>(shape.outputs - o, kMostOutputs));
      TileOf(outputs, vectors)(shape, dy + o, padded + n, rest, sums + o * step + n, step);
    }
  }
}

}  // namespace

const ConvolutionGradientWeightKernels convolution_gradient_weight = {Pad, Round, Add, SumBlocks};

}  // namespace emu::EMU_ISA
