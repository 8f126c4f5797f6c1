#include "ops/dropout/dropout.h"

#include "base/call_checks.h"

namespace emu {

Status PlanDropout(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32[...]", "key i32[N]"}, &sides));
  if (sides['N'] != 2) return call.Refuse("key has " + std::to_string(sides['N']) + " words, needs 2");
  double rate = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("rate", &rate));
  if (!(rate >= 0 && rate < 1))
    return RefuseOption(call, "rate", std::to_string(rate), "a number in 0..1, 1 excluded");
  int64_t stream = 0;
  EMU_RETURN_IF_ERROR(ReadInteger(call, "stream", 0, &stream));
  if (stream > 0xffffffff)
    return RefuseOption(call, "stream", std::to_string(stream), "an integer below 2^32");
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, DType::kF32}));
  DropoutChoice choice = {};
  choice.stream = static_cast<uint32_t>(stream);
  choice.threshold = static_cast<uint32_t>(rate * 4294967296.0);
  choice.factor = static_cast<float>(1 / (1 - rate));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const auto kernel = dropout_for(call.isa).elements;
  plan->phase_tasks = {split.tasks};
  plan->run = [=](const TaskContext& task) {
    DropoutChoice mine = choice;
    mine.key[0] = static_cast<uint32_t>(task.indices(1)[0]);
    mine.key[1] = static_cast<uint32_t>(task.indices(1)[1]);
    kernel(mine, task.in(0), split.rows(task.task, elements), task.out());
  };
  return {};
}

}  // namespace emu
