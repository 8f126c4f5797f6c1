#include "ops/cached_attention/cached_attention.h"

#include "base/attention_block.h"
#include "base/call_checks.h"

namespace emu {
namespace {

Status CheckTypes(const CallTypes& call, BoundSides* sides) {
  EMU_RETURN_IF_ERROR(
      BindInputs(call,
                 {"q f32[R,H,K]", "keyCache f32|bf16[P,Z,G,K]", "valueCache f32|bf16[P,Z,G,K]", "slot i32[R]",
                  "position i32[R]", "pageTable i32[L,M]"},
                 sides));
  const int64_t heads = (*sides)['H'], key_heads = (*sides)['G'];
  if (key_heads == 0 || heads % key_heads != 0) {
    return call.Refuse(std::to_string(heads) + " query heads are not a multiple of " +
                       std::to_string(key_heads) + " key heads");
  }
  if (call.inputs[1]->dtype != call.inputs[2]->dtype) {
    return call.Refuse("keyCache and valueCache are of different types");
  }
  return call.CheckOutput(*call.inputs[0]);
}

CachedAttentionInputs InputsOf(void* const* inputs) {
  const auto indices = [inputs](int index) { return static_cast<const int32_t*>(inputs[index]); };
  return {static_cast<const float*>(inputs[0]), inputs[1], inputs[2], {indices(3), indices(4), indices(5)}};
}

}  // namespace

Status PlanCachedAttention(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(CheckTypes(call, &sides));
  double scale = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("scale", &scale));
  const int64_t rows = sides['R'];
  const PagedCache cache = {sides['P'], sides['Z'], sides['L'], sides['M'], sides['G'] * sides['K']};
  const CachedAttentionShape shape = {sides['H'], sides['G'], sides['K'], static_cast<float>(scale), cache};

  const int64_t shared = shape.heads / shape.key_heads;
  const int64_t block_rows =
      AttentionRowsPerTask(rows, shape.key_heads, std::max<int64_t>(shared, 1), shape.width, call.threads);
  const int64_t blocks = (rows + block_rows - 1) / block_rows;
  const bool empty = call.shape(0).elements() == 0;
  plan->phase_tasks = {empty ? 0 : shape.key_heads * blocks};
  plan->thread_scratch_bytes = AttentionScratchBytes(block_rows * shared, shape.width);
  plan->check = [=](void* const* inputs) {
    return CheckCachePlaces("cachedAttention", cache, InputsOf(inputs).places, rows,
                            CacheReach::kAllPositionsUpToItsOwn);
  };
  const CachedAttentionKernels& kernels = cached_attention_for(call.isa);
  const auto kernel = call.inputs[1]->dtype == DType::kF32 ? kernels.f32_block : kernels.bf16_block;
  plan->run = [=](const TaskContext& task) {
    // Later rows of a prompt see more keys, so they go first.
    const int64_t block = blocks - 1 - task.task % blocks;
    kernel(shape, InputsOf(task.inputs), task.task / blocks,
           {block * block_rows, std::min((block + 1) * block_rows, rows)}, task.thread_scratch, task.out());
  };
  return {};
}

}  // namespace emu
