// How a weight lies in memory for the matrix product.
//
// A weight has `outputs` rows of `width` values, f32 or bf16. It is stored as panels of NR rows (the last one
// padded with zero rows), one after another, all of PanelBytes:
//
//   f32   panel [width][NR]                  value k of row n at k * NR + n
//   bf16  panel [ceil(width / 2)][NR][2]     values 2p and 2p+1 of row n at (p * NR + n) * 2; odd widths end
//   in 0
//
// so that a product walks every panel from front to back once. NR depends on the instruction set: a packed
// weight belongs to the set it was packed for (AVX512BF16 and AMX pack alike). Panels start at multiples of
// 64 bytes when the first one does.
//
// A linear weight [O,I] has O rows of I values. A convolution weight [O,C,kh,kw] has O rows of kh * kw * C
// values in the order (kh, kw, C), the order in which a patch lies in a channels-last image.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/op.h"
#include "base/tensor_type.h"

namespace emu {

struct PackKernels {
  int panel_rows;  // NR
  // Packs rows [valid_rows, width] of `dtype` (kF32 or kBf16, row-major, any alignment, valid_rows <= NR)
  // into one panel.
  void (*pack_panel)(DType dtype, const void* rows, int valid_rows, int64_t width, void* panel);
  // The same from rows of dtype `source` that lie row_bytes apart: widened, or rounded to nearest even.
  void (*pack_rows)(DType dtype, DType source, const void* rows, int64_t row_bytes, int valid_rows,
                    int64_t width, void* panel);
  // Packs what `count` weight rows have at one word: their value k, contiguous at `first`, and for bf16
  // panels their value k + 1 at `second`, null for zeros. `to` is that word of the first panel, panels lie
  // panel_bytes apart and the last one is filled up with zeros.
  void (*pack_line)(DType dtype, DType source, const void* first, const void* second, int64_t count, void* to,
                    int64_t panel_bytes);
};

EMU_DECLARE_KERNELS(PackKernels, pack_kernels)

int64_t PanelBytes(Isa isa, DType dtype, int64_t width);
int64_t PanelCount(Isa isa, int64_t outputs);
int64_t PackedBytes(Isa isa, DType dtype, int64_t outputs, int64_t width);

// Packs those panels of a row-major weight [outputs, width] into `packed`, where the whole packed weight
// lies.
void PackPanels(Isa isa, DType dtype, const void* weight, int64_t outputs, int64_t width, Rows panels,
                void* packed);

// A plain matrix that is to become a weight: row n at n * stride, value k at k; or transposed, the other way
// round.
struct PlainMatrix {
  const void* data;
  DType dtype;     // kF32 or kBf16
  int64_t stride;  // values from a row (transposed: from a value k) to the next
  bool transposed;
};

// How packing [outputs, width] is cut into tasks: by panels, or by values k of a transposed matrix, so that
// memory is read from front to back.
RowSplit SplitPacking(Isa isa, bool transposed, int64_t outputs, int64_t width, int threads);

// Runs one task of that split: rounds to `dtype` or widens, and packs into `packed`.
void RunPackingTask(Isa isa, DType dtype, const PlainMatrix& matrix, int64_t outputs, int64_t width,
                    const RowSplit& split, int64_t task, void* packed);

// Row `output` of a convolution weight [O,channels,height,width], in the order (height, width, channels).
void ConvolutionRow(DType dtype, const void* weight, int64_t output, int64_t channels, int64_t height,
                    int64_t width, void* row);

}  // namespace emu
