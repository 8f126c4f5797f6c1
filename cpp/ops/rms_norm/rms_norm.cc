#include "ops/rms_norm/rms_norm.h"

#include "base/op.h"

namespace emu {

Status PlanRmsNorm(const CallTypes& call, CallPlan* plan) {
  EMU_RETURN_IF_ERROR(call.CheckArity(2, 2));
  double epsilon = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("epsilon", &epsilon));
  const Shape& x = call.shape(0);
  if (x.rank < 1 || call.shape(1).rank != 1 || call.shape(1)[0] != x.last()) {
    return call.Refuse("weight is not the width of x");
  }
  EMU_RETURN_IF_ERROR(call.CheckOutput({x, DType::kF32}));
  const RmsNormShape shape = {x.last(), static_cast<float>(epsilon)};
  const int64_t rows = x.product(0, x.rank - 1);
  const RowSplit split = SplitRows(rows, 1 + 16384 / (shape.width + 1), call.threads);
  const auto kernel = rms_norm_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(shape, task.in(0), task.in(1), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
