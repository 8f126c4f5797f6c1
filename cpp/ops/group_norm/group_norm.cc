#include "ops/group_norm/group_norm.h"

#include "base/call_checks.h"

namespace emu {
namespace {

Status ReadShape(const CallTypes& call, GroupNormShape* shape, int64_t* pictures) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[B,...,C]", "weight f32[C]", "bias f32[C]"}, &sides));
  *pictures = sides['B'];
  EMU_RETURN_IF_ERROR(ReadGroupNormShape(call, sides.rest.elements(), sides['C'], shape));
  return call.CheckOutput({call.shape(0), DType::kF32});
}

}  // namespace

Status PlanGroupNorm(const CallTypes& call, CallPlan* plan) {
  GroupNormShape shape = {};
  int64_t pictures = 0;
  EMU_RETURN_IF_ERROR(ReadShape(call, &shape, &pictures));
  if (call.shape(0).elements() == 0) return {};
  const int64_t picture_floats = shape.places * shape.channels;
  const int64_t moments_per_picture = shape.blocks * shape.groups, affine_floats = 3 * shape.channels;
  const GroupNormKernels& kernels = group_norm_for(call.isa);

  plan->phase_tasks = {pictures * shape.blocks, pictures * shape.groups, pictures * shape.blocks};
  // The affine [B,3,C] comes first, then the moments [B,blocks,G].
  plan->shared_scratch_bytes = pictures * (affine_floats * static_cast<int64_t>(sizeof(float)) +
                                           moments_per_picture * static_cast<int64_t>(sizeof(BlockMoments)));
  plan->thread_scratch_bytes = 3 * shape.channels * static_cast<int64_t>(sizeof(float));
  plan->run = [=, &kernels](const TaskContext& task) {
    const int64_t per_picture = task.phase == 1 ? shape.groups : shape.blocks;
    const int64_t picture = task.task / per_picture, part = task.task % per_picture;
    const float* x = task.in(0) + picture * picture_floats;
    float* affine = static_cast<float*>(task.shared_scratch) + picture * affine_floats;
    auto* moments =
        reinterpret_cast<BlockMoments*>(static_cast<float*>(task.shared_scratch) + pictures * affine_floats) +
        picture * moments_per_picture;
    if (task.phase == 0) {
      kernels.measure(shape, x, part, static_cast<float*>(task.thread_scratch),
                      moments + part * shape.groups);
    } else if (task.phase == 1) {
      kernels.combine(shape, moments, part, task.in(1), task.in(2), affine);
    } else {
      kernels.apply(shape, x, part, affine, task.out() + picture * picture_floats);
    }
  };
  return {};
}

}  // namespace emu
