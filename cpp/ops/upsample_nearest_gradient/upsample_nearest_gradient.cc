#include "ops/upsample_nearest_gradient/upsample_nearest_gradient.h"

#include "base/call_checks.h"

namespace emu {
namespace {

// Products of two sides must stay within 63 bits.
constexpr int64_t kMostSide = int64_t{1} << 31;

}  // namespace

Status PlanUpsampleNearestGradient(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"dy f32[B,H,W,C]"}, &sides));
  UpsampleGradientShape shape = {sides['H'], sides['W'], 0, 0, sides['C']};
  EMU_RETURN_IF_ERROR(ReadInteger(call, "height", 0, &shape.height));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "width", 0, &shape.width));
  for (int64_t side : {shape.big_height, shape.big_width, shape.height, shape.width}) {
    if (side >= kMostSide) return call.Refuse("a side of " + std::to_string(side) + " is too long");
  }
  if ((shape.height == 0 && shape.big_height > 0) || (shape.width == 0 && shape.big_width > 0)) {
    return call.Refuse("a picture " + std::to_string(shape.height) + "x" + std::to_string(shape.width) +
                       " has no pixels that fill " + std::to_string(shape.big_height) + "x" +
                       std::to_string(shape.big_width));
  }
  EMU_RETURN_IF_ERROR(
      call.CheckOutput({Shape{4, {sides['B'], shape.height, shape.width, shape.channels}}, DType::kF32}));
  const int64_t rows = sides['B'] * shape.height;
  const RowSplit split = SplitFloats(rows, shape.width * shape.channels, call.threads);
  const auto kernel = upsample_nearest_gradient_for(call.isa).rows;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(shape, task.in(0), split.rows(task.task, rows), task.out());
  };
  return {};
}

}  // namespace emu
