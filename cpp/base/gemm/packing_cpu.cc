#include <cstring>

#include "base/gemm/packing.h"
#include "base/gemm/tile.h"

namespace emu::EMU_ISA {
namespace {

// Words (one f32 or a pair of bf16) of a row that are transposed together: one cache line.
constexpr int64_t kStrip = 16;

void PackPanel(DType dtype, const void* rows, int valid_rows, int64_t width, void* panel) {
  const bool pairs = dtype == DType::kBf16;
  const int64_t row_bytes = width * (pairs ? 2 : 4);
  const int64_t words = pairs ? (width + 1) / 2 : width;
  const char* from = static_cast<const char*>(rows);
  uint32_t* to = static_cast<uint32_t*>(panel);
  for (int64_t begin = 0; begin < words; begin += kStrip) {
    const int64_t count = begin + kStrip < words ? kStrip : words - begin;
    const int64_t last_bytes = row_bytes - begin * 4 < count * 4 ? row_bytes - begin * 4 : count * 4;
    for (int n = 0; n < kPanelRows; ++n) {
      uint32_t strip[kStrip] = {};
      if (n < valid_rows)
        std::memcpy(strip, from + n * row_bytes + begin * 4, static_cast<size_t>(last_bytes));
      for (int64_t k = 0; k < count; ++k) to[(begin + k) * kPanelRows + n] = strip[k];
    }
  }
}

}  // namespace

extern const PackKernels pack_kernels;
const PackKernels pack_kernels = {kPanelRows, PackPanel};

}  // namespace emu::EMU_ISA
