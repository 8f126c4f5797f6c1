#include "ops/sum_to/sum_to.h"

#include <algorithm>

#include "base/call_checks.h"

namespace emu {
namespace {

// A part is about this many elements, or one line.
constexpr int64_t kPartElements = 16384;
constexpr int64_t kMostPartLines = 256;

void Append(SumAxes* axes, int64_t side, int64_t stride) {
  axes->sides[axes->count] = side;
  axes->strides[axes->count++] = stride;
}

// x and out as merged axes that are kept or summed in turn; axes of side 1 are left out.
SumToShape SplitAxes(const Shape& x, const Shape& out) {
  struct Axis {
    int64_t side, stride;
    bool summed;
  } axes[kMaxRank];
  int count = 0;
  int64_t stride = 1;
  for (int axis = x.rank - 1; axis >= 0; --axis) {
    const int from_end = x.rank - 1 - axis;
    const bool summed = from_end >= out.rank || out.last(from_end) != x[axis];
    if (x[axis] == 1) continue;
    if (count > 0 && axes[count - 1].summed == summed) {
      axes[count - 1].side *= x[axis];
    } else {
      axes[count++] = {x[axis], stride, summed};
    }
    stride *= x[axis];
  }
  SumToShape shape = {};
  shape.width = count == 0 ? 1 : axes[0].side;
  shape.sums_last = count > 0 && axes[0].summed;
  shape.lines = 1;
  for (int axis = count - 1; axis > 0; --axis) {
    Append(axes[axis].summed ? &shape.summed : &shape.kept, axes[axis].side, axes[axis].stride);
    if (axes[axis].summed) shape.lines *= axes[axis].side;
  }
  if (shape.sums_last && shape.width > kPartElements) {
    // One long line becomes many short ones and the elements that are left over, if it can be cut evenly.
    int64_t piece = kPartElements;
    while (piece >= 1024 && shape.width % piece != 0) piece /= 2;
    if (shape.width % piece == 0) {
      Append(&shape.summed, shape.width / piece, piece);
      shape.lines *= shape.width / piece;
      shape.width = piece;
    }
  }
  shape.part_lines =
      std::clamp<int64_t>(kPartElements / std::max<int64_t>(shape.width, 1), 1, kMostPartLines);
  if (!shape.sums_last) shape.part_lines = kMostPartLines;
  shape.parts = std::max<int64_t>(1, (shape.lines + shape.part_lines - 1) / shape.part_lines);
  return shape;
}

}  // namespace

Status PlanSumTo(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]"}, &sides));
  const Shape& x = sides.rest;
  Shape out;
  EMU_RETURN_IF_ERROR(ReadShape(call, &out));
  bool fits = out.rank <= x.rank;
  for (int i = 0; fits && i < out.rank; ++i) fits = out.last(i) == 1 || out.last(i) == x.last(i);
  if (!fits) return call.Refuse(ToText(out) + " does not broadcast to x " + ToText(x));
  EMU_RETURN_IF_ERROR(call.CheckOutput({out, DType::kF32}));

  const SumToShape shape = SplitAxes(x, out);
  const int64_t elements = out.elements();
  if (elements == 0) return {};
  const int64_t rows = elements / shape.results(), units = rows * shape.parts;
  const int64_t unit_elements = shape.width * std::min(shape.lines, shape.part_lines);
  const RowSplit unit_split = SplitFloats(units, std::max<int64_t>(unit_elements, 1), call.threads);
  const RowSplit row_split = SplitFloats(rows, shape.parts * shape.results(), call.threads);
  const SumToKernels& kernels = sum_to_for(call.isa);
  const bool joins = shape.parts > 1;
  plan->phase_tasks = {unit_split.tasks};
  if (joins) {
    plan->phase_tasks.push_back(row_split.tasks);
    plan->shared_scratch_bytes = units * shape.results() * static_cast<int64_t>(sizeof(float));
  }
  plan->run = [=](const TaskContext& task) {
    float* partials = joins ? static_cast<float*>(task.shared_scratch) : task.out();
    if (task.phase == 0) {
      kernels.units(shape, task.in(0), unit_split.rows(task.task, units), partials);
    } else {
      kernels.join(shape, partials, row_split.rows(task.task, rows), task.out());
    }
  };
  return {};
}

}  // namespace emu
