// upsampleNearest: out[b,i,j,:] = x[b, floor(i H / height), floor(j W / width), :].
//
// x f32[B,H,W,C], out f32[B,height,width,C].
#include "base/call_checks.h"
#include "base/copy_rows.h"

namespace emu {
namespace {

struct UpsampleShape {
  int64_t from_height;
  int64_t from_width;
  int64_t height;
  int64_t width;
  int64_t channels;
};

// One row of one picture, given all of them counted through the batch.
void UpsampleRow(const UpsampleShape& shape, const float* x, int64_t row, float* out) {
  const int64_t picture = row / shape.height, i = row % shape.height;
  const auto from_row = static_cast<int64_t>(static_cast<__int128>(i) * shape.from_height / shape.height);
  const float* from = x + (picture * shape.from_height + from_row) * shape.from_width * shape.channels;
  float* to = out + row * shape.width * shape.channels;
  // column = floor(j W / width) without a division per pixel: remainder is j W - column width.
  int64_t column = 0, remainder = 0;
  const int64_t step = shape.from_width / shape.width, rest = shape.from_width % shape.width;
  for (int64_t j = 0; j < shape.width; ++j) {
    CopyFloats(from + column * shape.channels, shape.channels, to + j * shape.channels);
    column += step;
    remainder += rest;
    if (remainder >= shape.width) {
      remainder -= shape.width;
      ++column;
    }
  }
}

}  // namespace

Status PlanUpsampleNearest(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[B,H,W,C]"}, &sides));
  UpsampleShape shape = {sides['H'], sides['W'], 0, 0, sides['C']};
  EMU_RETURN_IF_ERROR(ReadInteger(call, "height", 0, &shape.height));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "width", 0, &shape.width));
  if ((shape.from_height == 0 && shape.height > 0) || (shape.from_width == 0 && shape.width > 0)) {
    return call.Refuse("a picture " + std::to_string(shape.from_height) + "x" +
                       std::to_string(shape.from_width) + " has no pixels to fill " +
                       std::to_string(shape.height) + "x" + std::to_string(shape.width));
  }
  const Shape out = {4, {sides['B'], shape.height, shape.width, shape.channels}};
  EMU_RETURN_IF_ERROR(call.CheckOutput({out, DType::kF32}));
  const int64_t rows = sides['B'] * shape.height;
  const RowSplit split = SplitFloats(rows, shape.width * shape.channels, call.threads);
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    const Rows part = split.rows(task.task, rows);
    for (int64_t row = part.begin; row < part.end; ++row) UpsampleRow(shape, task.in(0), row, task.out());
  };
  return {};
}

}  // namespace emu
