#include "ops/cast/cast.h"

#include <cstring>

#include "base/call_checks.h"

namespace emu {
namespace {

void Copy(const TaskContext& task, Rows elements, int64_t bytes_per_element) {
  const int64_t begin = elements.begin * bytes_per_element;
  std::memcpy(static_cast<char*>(task.outputs[0]) + begin, static_cast<const char*>(task.inputs[0]) + begin,
              static_cast<size_t>((elements.end - elements.begin) * bytes_per_element));
}

}  // namespace

Status PlanCast(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(call, {"x f32|bf16[...]"}, &sides));
  std::string name;
  EMU_RETURN_IF_ERROR(call.attributes.Text("dtype", &name));
  if (name != "f32" && name != "bf16")
    return RefuseOption(call, "dtype", std::string("\"") + name + '"', "f32 or bf16");
  const DType from = call.inputs[0]->dtype, to = name == "f32" ? DType::kF32 : DType::kBf16;
  EMU_RETURN_IF_ERROR(call.CheckOutput({sides.rest, to}));
  const int64_t elements = sides.rest.elements();
  const RowSplit split = SplitFloats(elements, 1, call.threads);
  const CastKernels& kernels = cast_for(call.isa);
  plan->phase_tasks = {split.tasks};
  plan->run = [=, &kernels](const TaskContext& task) {
    const Rows rows = split.rows(task.task, elements);
    if (from == to) return Copy(task, rows, BytesPerElement(to));
    if (to == DType::kF32) return kernels.widen(static_cast<const Bf16*>(task.inputs[0]), rows, task.out());
    kernels.round(task.in(0), rows, static_cast<Bf16*>(task.outputs[0]));
  };
  return {};
}

}  // namespace emu
