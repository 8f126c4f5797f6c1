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

// Sums that are added to out later should stay in the second-level cache until then.
constexpr int64_t kMostSums = 1 << 18;

int64_t DivideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

struct TaskPart {
  Rows rows, panels;
};

TaskPart PartOf(Isa isa, const GemmShape& shape, const GemmSplit& split, int64_t task) {
  // Neighbouring tasks share their rows, so that the panels of a whole weight are walked in memory order.
  const int64_t row_block = task / split.panel_blocks, panel_block = task % split.panel_blocks;
  const int64_t row = row_block * split.rows_per_task, panel = panel_block * split.panels_per_task;
  return {{row, std::min(row + split.rows_per_task, shape.rows)},
          {panel, std::min(panel + split.panels_per_task, PanelCount(isa, shape.outputs))}};
}

// Panels whose sums fit in scratch; a task takes its panels so many at a time.
int64_t SummedPanels(Isa isa, const GemmSplit& split) {
  const int64_t fit =
      kMostSums / std::max<int64_t>(1, split.rows_per_task * pack_kernels_for(isa).panel_rows);
  return std::min(std::max<int64_t>(1, fit), split.panels_per_task);
}

// The rows of a left operand from `first` on.
struct RowsFrom {
  const PiecewiseMatrix* all;
  int64_t first;
};

const float* PieceFrom(const void* source, int64_t row, int64_t begin, int64_t end, int64_t* stop) {
  const RowsFrom& rows = *static_cast<const RowsFrom*>(source);
  return rows.all->piece(rows.all->source, rows.first + row, begin, end, stop);
}

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
  const TaskPart part = PartOf(isa, shape, split, task);
  GemmKernelsFor(isa, shape.weight).multiply(shape, operands, part.rows, part.panels, scratch);
}

int64_t SumScratchBytes(Isa isa, const GemmSplit& split) {
  return split.rows_per_task * SummedPanels(isa, split) * pack_kernels_for(isa).panel_rows * 4;
}

void AddGemmTask(Isa isa, const GemmShape& shape, const GemmSplit& split, const GemmOperands& operands,
                 int64_t task, void* scratch) {
  const TaskPart part = PartOf(isa, shape, split, task);
  const int64_t panel_rows = pack_kernels_for(isa).panel_rows, panels = SummedPanels(isa, split);
  const RowsFrom rows = {&operands.left.rows, part.rows.begin};
  float* sums = static_cast<float*>(scratch);
  void* rest = static_cast<char*>(scratch) + SumScratchBytes(isa, split);
  for (int64_t panel = part.panels.begin; panel < part.panels.end; panel += panels) {
    // A product of its own, of these rows and the weight rows of these panels.
    const int64_t last = std::min(panel + panels, part.panels.end), column = panel * panel_rows;
    const GemmShape own = {part.rows.end - part.rows.begin,
                           std::min(last * panel_rows, shape.outputs) - column, shape.width, shape.weight};
    GemmOperands product = operands;
    product.left.rows = {PieceFrom, &rows};
    if (product.left.columns != nullptr) product.left.columns += part.rows.begin;
    product.packed =
        static_cast<const char*>(operands.packed) + panel * PanelBytes(isa, shape.weight, shape.width);
    product.out = sums;
    GemmKernelsFor(isa, shape.weight).multiply(own, product, {0, own.rows}, {0, last - panel}, rest);
    for (int64_t row = 0; row < own.rows; ++row) {
      float* out = operands.out + (part.rows.begin + row) * shape.outputs + column;
      const float* from = sums + row * own.outputs;
      for (int64_t i = 0; i < own.outputs; ++i) out[i] += from[i];
    }
  }
}

}  // namespace emu
