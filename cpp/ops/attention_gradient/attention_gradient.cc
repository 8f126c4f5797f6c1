#include "ops/attention_gradient/attention_gradient.h"

#include <algorithm>
#include <cstring>

#include "base/call_checks.h"

namespace emu {
namespace {

Status CheckTypes(const CallTypes& call, AttentionShape* shape) {
  BoundSides sides;
  const bool has_bias = call.has(3);
  EMU_RETURN_IF_ERROR(BindInputs(call,
                                 {"q f32[B,T,H,K]", "k f32[B,S,G,K]", "v f32[B,S,G,K]", "bias? f32[H,T,S]",
                                  "firstKey? i32[B,T]", "out f32[B,T,H,K]", "dout f32[B,T,H,K]"},
                                 &sides, has_bias ? 4 : 3));
  EMU_RETURN_IF_ERROR(ReadAttentionShape(call, sides, shape));
  for (size_t output = 0; output < call.outputs.size(); ++output) {
    EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[output], output));
  }
  return {};
}

// Nothing attends: every gradient is zeros.
void PlanZeros(const CallTypes& call, CallPlan* plan) {
  std::vector<int64_t> bytes;
  for (const TensorType& output : call.outputs) bytes.push_back(output.bytes());
  plan->phase_tasks = {static_cast<int64_t>(bytes.size())};
  plan->run = [bytes](const TaskContext& task) {
    const int64_t size = bytes[static_cast<size_t>(task.task)];
    if (size > 0) std::memset(task.outputs[task.task], 0, static_cast<size_t>(size));
  };
}

}  // namespace

Status PlanAttentionGradient(const CallTypes& call, CallPlan* plan) {
  AttentionShape shape;
  EMU_RETURN_IF_ERROR(CheckTypes(call, &shape));
  const bool has_bias = call.has(3), is_packed = call.has(4);
  if (is_packed) {
    plan->check = [=](void* const* inputs) {
      return CheckIndices("attentionGradient", "firstKey", static_cast<const int32_t*>(inputs[4]),
                          shape.batch * shape.queries, 0, shape.keys + 1);
    };
  }
  if (call.shape(0).elements() == 0 || call.shape(1).elements() == 0) {
    PlanZeros(call, plan);
    return {};
  }
  const int64_t shared = shape.heads / shape.key_heads, bias_floats = shared * shape.queries * shape.keys;
  // The sum over the batch is in order, so with a bias one task takes the whole batch of a key head.
  const int64_t batches = has_bias ? shape.batch : 1;
  plan->phase_tasks = {shape.batch / batches * shape.key_heads};
  plan->thread_scratch_bytes = AttentionGradientScratchBytes(shape);
  plan->run = [=, kernel = attention_gradient_for(call.isa).key_head](const TaskContext& task) {
    const AttentionGradientInputs inputs = {task.in(0),
                                            task.in(1),
                                            task.in(2),
                                            has_bias ? task.in(3) : nullptr,
                                            is_packed ? task.indices(4) : nullptr,
                                            task.in(5),
                                            task.in(6)};
    const AttentionGradientOutputs outputs = {task.out(0), task.out(1), task.out(2),
                                              has_bias ? task.out(3) : nullptr};
    const int64_t key_head = task.task % shape.key_heads, first = task.task / shape.key_heads * batches;
    if (has_bias) std::fill_n(outputs.dbias + key_head * bias_floats, bias_floats, 0.0f);
    for (int64_t batch = first; batch < first + batches; ++batch) {
      kernel(shape, inputs, batch, key_head, task.thread_scratch, outputs);
    }
  };
  return {};
}

}  // namespace emu
