#include "ops/attention/attention.h"

#include "base/attention_block.h"
#include "base/call_checks.h"

namespace emu {

Status PlanAttention(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  // Input 4 may be left out altogether: a program without packed sequences has four.
  EMU_RETURN_IF_ERROR(
      call.inputs.size() == 4
          ? BindInputs(call, {"q f32[B,T,H,K]", "k f32[B,S,G,K]", "v f32[B,S,G,K]", "bias? f32[H,T,S]"},
                       &sides)
          : BindInputs(call,
                       {"q f32[B,T,H,K]", "k f32[B,S,G,K]", "v f32[B,S,G,K]", "bias? f32[H,T,S]",
                        "firstKey? i32[B,T]"},
                       &sides));
  AttentionShape shape;
  EMU_RETURN_IF_ERROR(ReadAttentionShape(call, sides, &shape));
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0]));

  const int64_t shared = shape.heads / shape.key_heads, pairs = shape.batch * shape.key_heads;
  const bool empty = call.shape(0).elements() == 0;
  const int64_t block_rows =
      AttentionRowsPerTask(shape.queries, pairs, std::max<int64_t>(shared, 1), shape.width, call.threads);
  const int64_t blocks = (shape.queries + block_rows - 1) / block_rows;
  plan->phase_tasks = {empty ? 0 : pairs * blocks};
  plan->thread_scratch_bytes = AttentionScratchBytes(block_rows * shared, shape.width);
  const bool has_bias = call.has(3), is_packed = call.has(4);
  if (is_packed) {
    plan->check = [=](void* const* inputs) {
      return CheckIndices("attention", "firstKey", static_cast<const int32_t*>(inputs[4]),
                          shape.batch * shape.queries, 0, shape.keys + 1);
    };
  }
  plan->run = [=, kernel = attention_for(call.isa).block](const TaskContext& task) {
    // The last block of a causal call is the longest, so it goes first.
    const int64_t block = blocks - 1 - task.task % blocks, pair = task.task / blocks;
    const Rows rows = {block * block_rows, std::min((block + 1) * block_rows, shape.queries)};
    const AttentionInputs inputs = {task.in(0), task.in(1), task.in(2), has_bias ? task.in(3) : nullptr,
                                    is_packed ? task.indices(4) : nullptr};
    kernel(shape, inputs, pair / shape.key_heads, pair % shape.key_heads, rows, task.thread_scratch,
           task.out());
  };
  return {};
}

}  // namespace emu
