#include "ops/rotary_embedding/rotary_embedding.h"

#include <cmath>

#include "base/call_checks.h"

namespace emu {
namespace {

// The planner holds K/2 powers; a program that asks for more than any model has is refused, not obeyed.
constexpr int64_t kMostWidth = 65536;

// turns [R,2,K/2] of rows `rows`; direction -1 turns back.
void MakeTurns(const std::vector<float>& powers, float direction, const int32_t* position, Rows rows,
               float* turns) {
  const int64_t half = static_cast<int64_t>(powers.size());
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float *cosines = turns + row * 2 * half, *sines = cosines + half;
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position[row]) * powers[static_cast<size_t>(i)];
      cosines[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sines[i] = direction * static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
}

}  // namespace

Status PlanRotaryEmbedding(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[R,H,K]", "position i32[R]"}, &sides));
  double theta = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("theta", &theta));
  if (theta <= 0) return RefuseOption(call, "theta", std::to_string(theta), "a number above 0");
  int64_t inverse = 0;
  if (call.attributes.Has("inverse")) EMU_RETURN_IF_ERROR(call.attributes.Integer("inverse", &inverse));
  if (inverse != 0 && inverse != 1) return RefuseOption(call, "inverse", std::to_string(inverse), "0 or 1");
  const float direction = inverse == 1 ? -1.0f : 1.0f;
  const int64_t rows = sides['R'];
  const RotaryShape shape = {sides['H'], sides['K']};
  if (shape.width % 2 != 0) return call.Refuse("head width " + std::to_string(shape.width) + " is odd");
  if (shape.width > kMostWidth) {
    return call.Refuse("head width " + std::to_string(shape.width) + " is more than " +
                       std::to_string(kMostWidth));
  }
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));

  std::vector<float> powers(static_cast<size_t>(shape.width / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    powers[i] =
        static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(shape.width)));
  }
  const bool empty = call.shape(0).elements() == 0;
  const RowSplit turn_split = SplitRows(rows, 1 + 512 / (shape.width + 1), call.threads);
  const RowSplit split = SplitFloats(rows, shape.heads * shape.width, call.threads);
  plan->phase_tasks = {empty ? 0 : turn_split.tasks, empty ? 0 : split.tasks};
  plan->shared_scratch_bytes = rows * shape.width * static_cast<int64_t>(sizeof(float));
  plan->run = [=, kernel = rotary_embedding_for(call.isa).rows](const TaskContext& task) {
    float* turns = static_cast<float*>(task.shared_scratch);
    if (task.phase == 0) {
      MakeTurns(powers, direction, task.indices(1), turn_split.rows(task.task, rows), turns);
    } else {
      kernel(shape, task.in(0), turns, split.rows(task.task, rows), task.out());
    }
  };
  return {};
}

}  // namespace emu
