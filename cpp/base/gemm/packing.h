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
// weight belongs to the set it was packed for. Panels start at multiples of 64 bytes when the first one does.
//
// A linear weight [O,I] has O rows of I values. A convolution weight [O,C,kh,kw] has O rows of kh * kw * C
// values in the order (kh, kw, C), the order in which a patch lies in a channels-last image.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "base/tensor_type.h"

namespace emu {

struct PackKernels {
  int panel_rows;  // NR
  // Packs rows [valid_rows, width] of `dtype` (kF32 or kBf16, row-major, any alignment, valid_rows <= NR)
  // into one panel.
  void (*pack_panel)(DType dtype, const void* rows, int valid_rows, int64_t width, void* panel);
};

EMU_DECLARE_KERNELS(PackKernels, pack_kernels)

int64_t PanelBytes(Isa isa, DType dtype, int64_t width);
int64_t PanelCount(Isa isa, int64_t outputs);
int64_t PackedBytes(Isa isa, DType dtype, int64_t outputs, int64_t width);

// Packs those panels of a row-major weight [outputs, width] into `packed`, where the whole packed weight
// lies.
void PackPanels(Isa isa, DType dtype, const void* weight, int64_t outputs, int64_t width, Rows panels,
                void* packed);

// Row `output` of a convolution weight [O,channels,height,width], in the order (height, width, channels).
void ConvolutionRow(DType dtype, const void* weight, int64_t output, int64_t channels, int64_t height,
                    int64_t width, void* row);

}  // namespace emu
