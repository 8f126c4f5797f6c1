#include "base/gemm/gemm.h"

#include <algorithm>

#include "base/gemm/packing.h"

namespace emu {
namespace {

// A task's rows of one block of k should stay in the second-level cache: 192 rows x 2 KiB.
constexpr int64_t kMostRows = 192;

// Costs besides the products themselves, in products per value of k. Fetching a weight once per block of rows
// takes as long as multiplying about 8 rows by it; rounding and copying a value of the left operand as long
// as about 25 products.
constexpr double kFetchCost = 8;
constexpr double kCopyCost = 25;
// Where a task packs its panels itself, a value of them costs as long as this many products, and the panels
// of one block of k should stay in the second-level cache.
constexpr double kPackCost = 40;
constexpr int64_t kMostPackedPanels = 12;
// Handing out a task, in products.
constexpr double kTaskCost = 20000;
// Threads do not finish together: count a fifth of a task as idle.
constexpr double kIdleTasks = 0.2;

int64_t DivideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

}  // namespace

const GemmKernels& GemmKernelsFor(Isa isa, DType weight) {
#if EMU_X86
  if (isa == Isa::kAmx && weight == DType::kBf16) return isa_amx::gemm_kernels;
#endif
  return gemm_kernels_for(isa);
}

GemmSplit SplitGemm(Isa isa, const GemmShape& shape, int threads, bool packs) {
  const int64_t tile_rows = GemmKernelsFor(isa, shape.weight).tile_rows;
  const int64_t panel_rows = pack_kernels_for(isa).panel_rows;
  const int64_t panels = PanelCount(isa, shape.outputs);
  if (shape.rows == 0 || panels == 0) return {1, 1, 0, 0, 0};
  GemmSplit best = {};
  double best_time = 0;
  const int64_t most_rows = std::min<int64_t>(kMostRows, DivideUp(shape.rows, tile_rows) * tile_rows);
  for (int64_t rows = tile_rows; rows <= most_rows; rows += tile_rows) {
    const int64_t row_blocks = DivideUp(shape.rows, rows);
    const double used_rows = static_cast<double>(std::min(rows, shape.rows));
    for (int64_t cuts = 1; cuts <= std::min<int64_t>(panels, packs ? panels : 32 * threads); ++cuts) {
      const int64_t task_panels = DivideUp(panels, cuts);
      if (packs && task_panels > kMostPackedPanels) continue;
      const double columns = static_cast<double>(task_panels * panel_rows);
      const double task_time =
          kTaskCost +
          static_cast<double>(shape.width) *
              (used_rows * columns + (packs ? kPackCost : kFetchCost) * columns + kCopyCost * used_rows);
      const int64_t panel_blocks = DivideUp(panels, task_panels);
      const double time =
          (static_cast<double>(DivideUp(row_blocks * panel_blocks, threads)) + kIdleTasks) * task_time;
      if (best.row_blocks > 0 && time >= best_time) continue;
      best = {rows, task_panels, row_blocks, panel_blocks, 0};
      best_time = time;
    }
  }
  best.scratch_bytes = GemmKernelsFor(isa, shape.weight)
                           .scratch_bytes(shape, best.rows_per_task, packs ? best.panels_per_task : 0);
  return best;
}

void RunGemmTask(Isa isa, const GemmShape& shape, const GemmSplit& split, const GemmOperands& operands,
                 int64_t task, void* scratch) {
  // Neighbouring tasks share their rows, so that the panels of a whole weight are walked in memory order.
  const int64_t row_block = task / split.panel_blocks, panel_block = task % split.panel_blocks;
  const int64_t row = row_block * split.rows_per_task, panel = panel_block * split.panels_per_task;
  const Rows rows = {row, std::min(row + split.rows_per_task, shape.rows)};
  const Rows panels = {panel, std::min(panel + split.panels_per_task, PanelCount(isa, shape.outputs))};
  GemmKernelsFor(isa, shape.weight).multiply(shape, operands, rows, panels, scratch);
}

}  // namespace emu
