#include "ops/group_norm_gradient/group_norm_gradient.h"

#include "base/call_checks.h"
#include "base/row_blocks.h"

namespace emu {
namespace {

constexpr int64_t kFloat = static_cast<int64_t>(sizeof(float));

Status ReadShape(const CallTypes& call, GroupNormShape* shape, int64_t* pictures) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(
      BindInputs(call, {"x f32[B,...,C]", "weight f32[C]", "bias f32[C]", "dy f32[B,...,C]"}, &sides, 3));
  *pictures = sides['B'];
  EMU_RETURN_IF_ERROR(ReadGroupNormShape(call, sides.rest.elements(), sides['C'], shape));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(0), DType::kF32}));
  EMU_RETURN_IF_ERROR(call.CheckOutput({call.shape(1), DType::kF32}, 1));
  return call.CheckOutput({call.shape(1), DType::kF32}, 2);
}

}  // namespace

Status PlanGroupNormGradient(const CallTypes& call, CallPlan* plan) {
  GroupNormShape shape = {};
  int64_t pictures = 0;
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape, &pictures));
  const int64_t channels = shape.channels;
  if (channels == 0) return {};
  // Without pictures or places the sums over them are zeros, which the last phase writes.
  if (shape.places == 0) pictures = 0;
  const int64_t blocks = shape.blocks, picture_floats = shape.places * channels;
  const int64_t rows_floats = GroupNormGradientRows::kCount * channels,
                partial_floats = blocks * 2 * channels;
  const int64_t column_tasks = ColumnTasks(channels);
  const GroupNormGradientKernels& kernels = group_norm_gradient_for(call.isa);

  enum Phase { kMeasure, kCentre, kSpread, kLevel, kApply, kTotal };
  plan->phase_tasks = {pictures * blocks,       pictures * shape.groups, pictures * blocks,
                       pictures * shape.groups, pictures * blocks,       2 * column_tasks};
  // The rows [B,7,C] come first, then the partial sums [B,blocks,2,C], then the moments [B,blocks,G].
  plan->shared_scratch_bytes =
      pictures * ((rows_floats + partial_floats) * kFloat +
                  blocks * shape.groups * static_cast<int64_t>(sizeof(BlockMoments)));
  plan->thread_scratch_bytes = 3 * channels * kFloat;
  plan->run = [=, &kernels](const TaskContext& task) {
    float* all_rows = static_cast<float*>(task.shared_scratch);
    if (task.phase == kTotal) {
      const bool is_bias = task.task >= column_tasks;
      const int64_t row = is_bias ? GroupNormGradientRows::kBiasSum : GroupNormGradientRows::kWeightSum;
      kernels.total(all_rows + row * channels, pictures, rows_floats,
                    ColumnsOfTask(task.task % column_tasks, channels), task.out(is_bias ? 2 : 1));
      return;
    }
    const bool by_group = task.phase == kCentre || task.phase == kLevel;
    const int64_t per_picture = by_group ? shape.groups : blocks;
    const int64_t picture = task.task / per_picture, part = task.task % per_picture;
    const float *x = task.in(0) + picture * picture_floats, *weight = task.in(1);
    float* dx = task.out() + picture * picture_floats;
    float* rows = all_rows + picture * rows_floats;
    float* partial = all_rows + pictures * rows_floats + picture * partial_floats;
    auto* moments = reinterpret_cast<BlockMoments*>(all_rows + pictures * (rows_floats + partial_floats)) +
                    picture * blocks * shape.groups;
    switch (task.phase) {
      case kMeasure:
        return kernels.measure(shape, x, part, static_cast<float*>(task.thread_scratch),
                               moments + part * shape.groups);
      case kCentre:
        return kernels.centre(shape, moments, part, rows);
      case kSpread:
        return kernels.spread(shape, x, weight, task.in(2), task.in(3) + picture * picture_floats, part, rows,
                              dx, partial + part * 2 * channels);
      case kLevel:
        return kernels.level(shape, partial, weight, part, rows);
      default:
        return kernels.apply(shape, x, weight, part, rows, dx);
    }
  };
  return {};
}

}  // namespace emu
