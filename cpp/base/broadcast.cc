#include "base/broadcast.h"

#include "base/call_checks.h"

namespace emu {

Status PlanBroadcast(const CallTypes& call, BroadcastShape* shape) {
  EMU_RETURN_IF_ERROR(call.CheckArity(2, 2));
  if (call.inputs[0]->dtype != DType::kF32 || call.inputs[1]->dtype != DType::kF32) {
    return call.Refuse("a and b must be f32");
  }
  const Shape &a = call.shape(0), &b = call.shape(1);
  const int missing = a.rank - b.rank;
  bool fits = missing >= 0;
  for (int axis = 0; fits && axis < b.rank; ++axis) fits = b[axis] == 1 || b[axis] == a[axis + missing];
  if (!fits) return call.Refuse("b " + ToText(b) + " does not broadcast to a " + ToText(a));

  // From the last axis to the first; the merged axes come out in reverse.
  BroadcastShape merged = {};
  int64_t b_stride = 1;
  for (int axis = a.rank - 1; axis >= 0; --axis) {
    const int64_t b_side = axis < missing ? 1 : b[axis - missing];
    if (a[axis] == 1) continue;
    const bool repeats = b_side == 1;
    const int last = merged.axes - 1;
    if (last >= 0 && repeats == (merged.b_strides[last] == 0)) {
      merged.sides[last] *= a[axis];
    } else {
      merged.sides[merged.axes] = a[axis];
      merged.b_strides[merged.axes++] = repeats ? 0 : b_stride;
    }
    b_stride *= b_side;
  }
  if (merged.axes == 0) merged = {1, {1}, {0}};
  shape->axes = merged.axes;
  for (int axis = 0; axis < merged.axes; ++axis) {
    shape->sides[axis] = merged.sides[merged.axes - 1 - axis];
    shape->b_strides[axis] = merged.b_strides[merged.axes - 1 - axis];
  }
  return call.CheckOutput({a, DType::kF32});
}

Status PlanBroadcastOp(const CallTypes& call, BroadcastKernel kernel, CallPlan* plan) {
  BroadcastShape shape = {};
  EMU_RETURN_IF_ERROR(PlanBroadcast(call, &shape));
  const int64_t elements = call.shape(0).elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(shape, task.in(0), task.in(1), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
