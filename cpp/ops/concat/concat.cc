// concat: x0, x1, ... joined along one axis; all f32, equal but for that axis.
#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {
namespace {

Status CheckInputs(const CallTypes& call) {
  if (call.inputs.empty()) return call.Refuse("needs at least 1 value, got 0");
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.has(i)) return call.Refuse("input " + std::to_string(i) + " is missing");
    if (call.inputs[i]->dtype != DType::kF32) {
      return call.Refuse("input " + std::to_string(i) + " is not f32");
    }
  }
  return call.CheckArity(1, call.inputs.size());
}

Status CheckSides(const CallTypes& call, int axis) {
  const Shape& first = call.shape(0);
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    const Shape& shape = call.shape(i);
    if (shape.rank == first.rank && WithSide(shape, axis, first[axis]) == first) continue;
    return call.Refuse("input " + std::to_string(i) + " " + ToText(shape) + " differs from " + ToText(first) +
                       " beyond axis " + std::to_string(axis));
  }
  return {};
}

}  // namespace

Status PlanConcat(const CallTypes& call, CallPlan* plan) {
  EMU_RETURN_IF_ERROR(CheckInputs(call));
  const Shape& first = call.shape(0);
  int axis = 0;
  EMU_RETURN_IF_ERROR(ReadAxis(call, first, &axis));
  EMU_RETURN_IF_ERROR(CheckSides(call, axis));
  const int64_t inner = first.product(axis + 1, first.rank);
  // starts[i]: where the run of input i starts in a run of the output; the last entry is that run's length.
  std::vector<int64_t> starts = {0};
  int64_t side = 0;
  for (const TensorType* input : call.inputs) {
    if (__builtin_add_overflow(side, input->shape[axis], &side))
      return call.Refuse("the sum of sides overflows");
    starts.push_back(side * inner);
  }
  const Shape out = WithSide(first, axis, side);
  EMU_RETURN_IF_ERROR(call.CheckOutput({out, DType::kF32}));
  const int64_t elements = out.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=, starts = std::move(starts)](const TaskContext& task) {
    const Rows part = split.rows(task.task, elements);
    const int64_t run = starts.back();
    for (int64_t at = part.begin; at < part.end;) {
      const int64_t outer = at / run, within = at % run;
      const auto next = std::upper_bound(starts.begin(), starts.end(), within);
      const int64_t start = next[-1], length = *next - start;
      const int64_t count = std::min(*next - within, part.end - at);
      CopyFloats(task.in(static_cast<int>(next - starts.begin() - 1)) + outer * length + (within - start),
                 count, task.out() + at);
      at += count;
    }
  };
  return {};
}

}  // namespace emu
