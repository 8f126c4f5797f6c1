// The register tile of the instruction set being compiled: kTileRows rows of the left operand times one panel
// of kPanelRows weight rows. Only base/gemm/*_cpu.cc include this.
#pragma once

#include "base/simd.h"

namespace emu::EMU_ISA {
namespace {

// Accumulators, one panel row and one broadcast value fill the 32 (AVX-512, NEON) or 16 registers.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int kTileRows = 8;
inline constexpr int kTileVectors = 3;
#elif defined(__AVX2__)
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = 2;
#else
inline constexpr int kTileRows = 4;
inline constexpr int kTileVectors = 2;
#endif
inline constexpr int kPanelRows = kTileVectors * kLanes;

}  // namespace
}  // namespace emu::EMU_ISA
