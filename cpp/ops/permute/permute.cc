#include "ops/permute/permute.h"

#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {
namespace {

Status ReadAxes(const CallTypes& call, const Shape& x, std::vector<int64_t>* axes) {
  EMU_RETURN_IF_ERROR(call.attributes.Integers("axes", axes));
  bool complete = axes->size() == static_cast<size_t>(x.rank);
  bool named[kMaxRank] = {};
  for (size_t i = 0; complete && i < axes->size(); ++i) {
    const int64_t axis = (*axes)[i];
    complete = axis >= 0 && axis < x.rank && !named[axis];
    if (complete) named[axis] = true;
  }
  if (complete) return {};
  std::string text = "[";
  for (size_t i = 0; i < axes->size() && i < 2 * kMaxRank; ++i) {
    if (i > 0) text += ',';
    text += std::to_string((*axes)[i]);
  }
  return RefuseOption(call, "axes", text + ']', "each of 0.." + std::to_string(x.rank - 1) + " once");
}

// The axes of out, merged, from the first to the last: their sides and how far their indices lie apart in x
// and in out.
OuterAxes MergeAxes(const Shape& x, const std::vector<int64_t>& axes) {
  OuterAxes merged = {};
  int64_t next_in_x = -1;  // the axis of x that continues the last merged one
  for (int64_t axis : axes) {
    if (x[static_cast<int>(axis)] == 1) continue;
    const int64_t side = x[static_cast<int>(axis)];
    const int64_t stride = x.product(static_cast<int>(axis) + 1, x.rank);
    if (merged.count > 0 && axis == next_in_x) {
      merged.sides[merged.count - 1] *= side;
      merged.x_strides[merged.count - 1] = stride;
    } else {
      merged.sides[merged.count] = side;
      merged.x_strides[merged.count++] = stride;
    }
    next_in_x = axis + 1;
    while (next_in_x < x.rank && x[static_cast<int>(next_in_x)] == 1) ++next_in_x;
  }
  int64_t stride = 1;
  for (int axis = merged.count - 1; axis >= 0; --axis) {
    merged.out_strides[axis] = stride;
    stride *= merged.sides[axis];
  }
  return merged;
}

void Remove(OuterAxes* axes, int axis) {
  --axes->count;
  for (int i = axis; i < axes->count; ++i) {
    axes->sides[i] = axes->sides[i + 1];
    axes->x_strides[i] = axes->x_strides[i + 1];
    axes->out_strides[i] = axes->out_strides[i + 1];
  }
}

void PlanCopy(int64_t elements, int threads, CallPlan* plan) {
  const RowSplit split = SplitFloats(elements, 1, threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    const Rows part = split.rows(task.task, elements);
    CopyFloats(task.in(0) + part.begin, part.end - part.begin, task.out() + part.begin);
  };
}

void PlanRuns(OuterAxes axes, int64_t elements, int threads, CallPlan* plan) {
  const int64_t width = axes.sides[axes.count - 1], runs = elements / width;
  Remove(&axes, axes.count - 1);
  const RowSplit split = SplitFloats(runs, width, threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    const Rows part = split.rows(task.task, runs);
    for (int64_t run = part.begin; run < part.end; ++run) {
      CopyFloats(task.in(0) + OffsetsOf(axes, run).x, width, task.out() + run * width);
    }
  };
}

// `rows_axis` is the axis of out that is the last of x.
void PlanTiles(const OuterAxes& axes, int rows_axis, int64_t elements, const CallTypes& call,
               CallPlan* plan) {
  const int last = axes.count - 1;
  TransposeShape shape = {axes, axes.sides[rows_axis], axes.sides[last], axes.x_strides[last],
                          axes.out_strides[rows_axis]};
  Remove(&shape.outer, last);
  Remove(&shape.outer, rows_axis);
  const int64_t matrices = elements / (shape.rows * shape.columns);
  const int64_t units = matrices * shape.row_units() * shape.column_units();
  const RowSplit split = SplitFloats(units, elements / units, call.threads);
  const auto kernel = permute_for(call.isa).transpose;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    kernel(shape, task.in(0), split.rows(task.task, units), task.out());
  };
}

}  // namespace

Status PlanPermute(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]"}, &sides));
  const Shape& x = sides.rest;
  std::vector<int64_t> axes;
  EMU_RETURN_IF_ERROR(ReadAxes(call, x, &axes));
  Shape out;
  for (int64_t axis : axes) out.sides[out.rank++] = x[static_cast<int>(axis)];
  EMU_RETURN_IF_ERROR(call.CheckOutput({out, DType::kF32}));
  const int64_t elements = x.elements();
  const OuterAxes merged = MergeAxes(x, axes);
  if (elements == 0 || merged.count <= 1) {
    PlanCopy(elements, call.threads, plan);
  } else if (merged.x_strides[merged.count - 1] == 1) {
    PlanRuns(merged, elements, call.threads, plan);
  } else {
    int rows_axis = 0;
    while (merged.x_strides[rows_axis] != 1) ++rows_axis;
    PlanTiles(merged, rows_axis, elements, call, plan);
  }
  return {};
}

}  // namespace emu
