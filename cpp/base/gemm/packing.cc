#include "base/gemm/packing.h"

#include <algorithm>

namespace emu {
namespace {

constexpr int64_t kLinePairs = 8;

template <class Element>
void GatherChannelsLast(const Element* from, int64_t channels, int64_t area, Element* to) {
  for (int64_t place = 0; place < area; ++place) {
    for (int64_t c = 0; c < channels; ++c) to[place * channels + c] = from[c * area + place];
  }
}

}  // namespace

int64_t PanelBytes(Isa isa, DType dtype, int64_t width) {
  const int64_t words = dtype == DType::kBf16 ? (width + 1) / 2 : width;
  const int64_t bytes = words * pack_kernels_for(isa).panel_rows * 4;
  return (bytes + 63) / 64 * 64;
}

int64_t PanelCount(Isa isa, int64_t outputs) {
  const int64_t rows = pack_kernels_for(isa).panel_rows;
  return (outputs + rows - 1) / rows;
}

int64_t PackedBytes(Isa isa, DType dtype, int64_t outputs, int64_t width) {
  return PanelCount(isa, outputs) * PanelBytes(isa, dtype, width);
}

void PackPanels(Isa isa, DType dtype, const void* weight, int64_t outputs, int64_t width, Rows panels,
                void* packed) {
  const PackKernels& kernels = pack_kernels_for(isa);
  const int64_t panel_bytes = PanelBytes(isa, dtype, width);
  for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
    const int64_t row = panel * kernels.panel_rows;
    const int valid = static_cast<int>(std::min<int64_t>(kernels.panel_rows, outputs - row));
    const char* rows = static_cast<const char*>(weight) + row * width * BytesPerElement(dtype);
    kernels.pack_panel(dtype, rows, valid, width, static_cast<char*>(packed) + panel * panel_bytes);
  }
}

RowSplit SplitPacking(Isa isa, bool transposed, int64_t outputs, int64_t width, int threads) {
  if (!transposed) return SplitRows(PanelCount(isa, outputs), 1, threads);
  if (outputs == 0) return {1, 0};
  // Whole words, and enough of them to be worth handing out.
  const RowSplit pairs = SplitRows((width + 1) / 2, kLinePairs, threads);
  return {pairs.rows_per_task * 2, pairs.tasks};
}

void RunPackingTask(Isa isa, DType dtype, const PlainMatrix& matrix, int64_t outputs, int64_t width,
                    const RowSplit& split, int64_t task, void* packed) {
  const PackKernels& kernels = pack_kernels_for(isa);
  const int64_t panel_bytes = PanelBytes(isa, dtype, width);
  const int64_t stride = matrix.stride * BytesPerElement(matrix.dtype);
  const char* from = static_cast<const char*>(matrix.data);
  char* to = static_cast<char*>(packed);
  if (!matrix.transposed) {
    const Rows panels = split.rows(task, PanelCount(isa, outputs));
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      const int64_t row = panel * kernels.panel_rows;
      const int valid = static_cast<int>(std::min<int64_t>(kernels.panel_rows, outputs - row));
      kernels.pack_rows(dtype, matrix.dtype, from + row * stride, stride, valid, width,
                        to + panel * panel_bytes);
    }
    return;
  }
  const int64_t step = dtype == DType::kBf16 ? 2 : 1;
  const Rows values = split.rows(task, width);
  for (int64_t k = values.begin; k < values.end; k += step) {
    const char* line = from + k * stride;
    kernels.pack_line(dtype, matrix.dtype, line, k + 1 < width ? line + stride : nullptr, outputs,
                      to + k / step * kernels.panel_rows * 4, panel_bytes);
  }
}

void ConvolutionRow(DType dtype, const void* weight, int64_t output, int64_t channels, int64_t height,
                    int64_t width, void* row) {
  const int64_t first = output * channels * height * width;
  if (dtype == DType::kBf16) {
    GatherChannelsLast(static_cast<const uint16_t*>(weight) + first, channels, height * width,
                       static_cast<uint16_t*>(row));
  } else {
    GatherChannelsLast(static_cast<const uint32_t*>(weight) + first, channels, height * width,
                       static_cast<uint32_t*>(row));
  }
}

}  // namespace emu
