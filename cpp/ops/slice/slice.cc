// slice: indices start..start+length-1 of one axis of x. x, out f32.
#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {

Status PlanSlice(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]"}, &sides));
  const Shape& x = sides.rest;
  int axis = 0;
  int64_t start = 0, length = 0;
  EMU_RETURN_IF_ERROR(ReadAxis(call, x, &axis));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "start", 0, &start));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "length", 0, &length));
  if (start > x[axis] || length > x[axis] - start) {
    return RefuseOption(call, "length", std::to_string(length),
                        "at most " + std::to_string(x[axis] - start) + ", axis " + std::to_string(axis) +
                            " has " + std::to_string(x[axis]) + " from " + std::to_string(start));
  }
  const Shape out = WithSide(x, axis, length);
  EMU_RETURN_IF_ERROR(call.CheckOutput({out, DType::kF32}));
  const int64_t inner = x.product(axis + 1, x.rank);
  // One run per index of the axes before; a task may begin and end within a run.
  const int64_t run = length * inner, stride = x[axis] * inner, offset = start * inner;
  const int64_t elements = out.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    const Rows part = split.rows(task.task, elements);
    for (int64_t at = part.begin; at < part.end;) {
      const int64_t within = at % run;
      const int64_t count = std::min(run - within, part.end - at);
      CopyFloats(task.in(0) + at / run * stride + offset + within, count, task.out() + at);
      at += count;
    }
  };
  return {};
}

}  // namespace emu
