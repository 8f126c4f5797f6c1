// libFuzzer target: any bytes as a program text. A text is refused with the place of the fault, or it parses
// and every call of it is planned: refused with a message, or planned with task counts and scratch sizes that
// make sense. Seeds: testdata/programs and the printed models in packages/sdk/src/models/__snapshots__;
// tools/fuzz-programs.sh builds and runs it.
#include <cstdio>
#include <cstdlib>

#include "runtime/op_table.h"
#include "runtime/program_text.h"

namespace emu {
namespace {

void Demand(bool holds, const char* what, const std::string& message) {
  if (holds) return;
  std::fprintf(stderr, "%s: \"%s\"\n", what, message.c_str());
  std::abort();
}

CallTypes TypesOf(const Program& program, const ProgramCall& call) {
  CallTypes types;
  types.op = call.op;
  for (int input : call.inputs) types.inputs.push_back(input < 0 ? nullptr : &program.values[input]);
  types.layouts.resize(call.inputs.size(), Layout::kPlain);
  for (const Binding& weight : program.weights) {
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      if (call.inputs[i] == weight.value) types.layouts[i] = weight.layout;
    }
  }
  for (int output : call.outputs) types.outputs.push_back(program.values[output]);
  types.attributes = call.attributes;
  types.isa = DetectIsa();
  types.threads = 2;
  return types;
}

void PlanOne(const Program& program, const ProgramCall& call) {
  const OpImplementation* op = FindOp(call.op);
  if (op == nullptr) return;
  CallPlan plan;
  const Status status = op->plan(TypesOf(program, call), &plan);
  if (!status.ok()) {
    Demand(!status.message().empty() && status.message()[0] == '[', "a refusal names its place",
           status.message());
    return;
  }
  for (int64_t tasks : plan.phase_tasks) {
    Demand(tasks >= 0, "no negative task count", call.op);
    Demand(tasks == 0 || static_cast<bool>(plan.run), "a call with tasks can run", call.op);
  }
  Demand(plan.shared_scratch_bytes >= 0 && plan.thread_scratch_bytes >= 0, "no negative scratch", call.op);
}

}  // namespace
}  // namespace emu

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  emu::Program program;
  const emu::Status status = emu::ParseProgram(text, &program);
  if (!status.ok()) {
    emu::Demand(status.message().rfind("[program] line ", 0) == 0, "a refusal names its line",
                status.message());
    return 0;
  }
  for (const emu::ProgramCall& call : program.calls) emu::PlanOne(program, call);
  return 0;
}
