#include "runtime/executable.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/memory_plan.h"

namespace emu {
namespace {

constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool IsCancelled(const RunRequest& request) {
  return request.cancel != nullptr && __atomic_load_n(request.cancel, __ATOMIC_RELAXED) != 0;
}

// Index of the first NaN or infinity, or `count`. Whole blocks are looked at first, without a branch in the
// loop.
int64_t FirstNonFinite(const float* values, int64_t count) {
  constexpr int64_t kBlock = 1024;
  constexpr uint32_t kExponent = 0x7f800000;
  int64_t begin = 0;
  for (; begin + kBlock <= count; begin += kBlock) {
    uint32_t bad = 0;
    for (int64_t i = begin; i < begin + kBlock; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      bad |= (bits & kExponent) == kExponent;
    }
    if (bad != 0) break;
  }
  while (begin < count && std::isfinite(values[begin])) ++begin;
  return begin;
}

}  // namespace

Status Executable::Plan(std::shared_ptr<Session> session, Program program, std::vector<StoredTensor> tensors,
                        std::shared_ptr<Executable>* out) {
  std::shared_ptr<Executable> executable(new Executable());
  executable->session_ = std::move(session);
  executable->program_ = std::move(program);
  executable->tensors_ = std::move(tensors);
  EMU_RETURN_IF_ERROR(executable->PlanCalls());
  executable->PlanHomes();
  *out = std::move(executable);
  return {};
}

Status Executable::PlanCalls() {
  aliases_.resize(program_.values.size());
  std::iota(aliases_.begin(), aliases_.end(), 0);
  std::vector<Layout> layouts(program_.values.size(), Layout::kPlain);
  for (const Binding& weight : program_.weights) layouts[weight.value] = weight.layout;
  std::vector<bool> states(program_.values.size(), false);
  for (const Binding& state : program_.states) states[state.value] = true;
  size_t most_pointers = 0;
  for (const ProgramCall& call : program_.calls) {
    const OpImplementation* op = FindOp(call.op);
    if (op == nullptr)
      return Status(Code::kInvalidOption, "[program] this backend has no op \"" + call.op + "\"");
    CallTypes types;
    types.op = call.op;
    types.attributes = call.attributes;
    types.isa = session_->isa();
    types.threads = session_->threads();
    for (int input : call.inputs) {
      types.inputs.push_back(input < 0 ? nullptr : &program_.values[input]);
      types.layouts.push_back(input < 0 ? Layout::kPlain : layouts[input]);
    }
    for (int output : call.outputs) types.outputs.push_back(program_.values[output]);
    CallPlan plan;
    EMU_RETURN_IF_ERROR(op->plan(types, &plan));
    EMU_RETURN_IF_ERROR(CheckUpdates(call, op->updated_inputs, states));
    if (op->memory == Memory::kOfInput) aliases_[call.outputs[0]] = Root(call.inputs[0]);
    most_pointers = std::max(most_pointers, call.inputs.size() + call.outputs.size());
    plans_.push_back(std::move(plan));
  }
  pointers_.resize(most_pointers);
  return {};
}

// A program may come from a file, so what the tracer made sure of is checked again.
Status Executable::CheckUpdates(const ProgramCall& call, const std::vector<int>& updated,
                                const std::vector<bool>& states) const {
  const auto refuse = [&](const std::string& message) {
    return Status(Code::kInvalidOption, "[" + call.op + "] " + message);
  };
  for (size_t i = 0; i < updated.size(); ++i) {
    const int root = Root(call.inputs[updated[i]]);
    if (!states[root]) return refuse("input " + std::to_string(updated[i]) + " is not a state");
    for (size_t other = 0; other < i; ++other) {
      if (Root(call.inputs[updated[other]]) != root) continue;
      return refuse("inputs " + std::to_string(updated[other]) + " and " + std::to_string(updated[i]) +
                    " are one state");
    }
  }
  return {};
}

int Executable::Root(int value) const {
  while (aliases_[value] != value) value = aliases_[value];
  return value;
}

std::vector<int> Executable::LastReads() const {
  std::vector<int> last(program_.values.size(), -1);
  for (size_t index = 0; index < program_.calls.size(); ++index) {
    for (int input : program_.calls[index].inputs) {
      if (input >= 0) last[Root(input)] = static_cast<int>(index);
    }
  }
  return last;
}

int Executable::LeftInput(int index, const std::vector<int>& last_reads) const {
  const ProgramCall& call = program_.calls[index];
  if (FindOp(call.op)->memory != Memory::kLeftByInput) return -1;
  const int root = Root(call.inputs[0]);
  if (last_reads[root] != index) return -1;
  for (size_t other = 1; other < call.inputs.size(); ++other) {
    if (call.inputs[other] >= 0 && Root(call.inputs[other]) == root) return -1;
  }
  return root;
}

void Executable::PlanHomes() {
  homes_.resize(program_.values.size());
  for (size_t i = 0; i < program_.inputs.size(); ++i) {
    homes_[program_.inputs[i].value] = {Place::kInput, static_cast<int64_t>(i)};
  }
  for (const auto* bindings : {&program_.weights, &program_.states}) {
    for (const Binding& binding : *bindings) homes_[binding.value] = {Place::kTensor, binding.value};
  }
  // A result is computed in the caller's buffer, unless its memory already has a home.
  for (size_t i = 0; i < program_.outputs.size(); ++i) {
    const int root = Root(program_.outputs[i].value);
    if (homes_[root].place == Place::kNone) {
      homes_[root] = {Place::kOutput, static_cast<int64_t>(i)};
    } else {
      output_copies_.push_back({static_cast<int>(i), root});
    }
  }
  std::vector<Lifetime> lifetimes;
  std::vector<int> place_of(program_.values.size(), -1);
  std::vector<int> shared_places;  // of the calls' shared scratch
  const std::vector<int> last_reads = LastReads();
  int64_t thread = 0;
  for (size_t index = 0; index < program_.calls.size(); ++index) {
    const ProgramCall& call = program_.calls[index];
    thread = std::max(thread, plans_[index].thread_scratch_bytes);
    // What a call shares among its tasks is a value that lives for one call: it lies where others have died.
    shared_places.push_back(static_cast<int>(lifetimes.size()));
    lifetimes.push_back(
        {plans_[index].shared_scratch_bytes, static_cast<int>(index), static_cast<int>(index)});
    for (int output : call.outputs) {
      const int root = Root(output);
      if (homes_[root].place != Place::kNone || place_of[root] >= 0) continue;
      if (const int left = LeftInput(static_cast<int>(index), last_reads); left >= 0 && place_of[left] >= 0) {
        place_of[root] = place_of[left];
        lifetimes[place_of[root]].last_call = static_cast<int>(index);
        continue;
      }
      place_of[root] = static_cast<int>(lifetimes.size());
      lifetimes.push_back({program_.values[root].bytes(), static_cast<int>(index), static_cast<int>(index)});
    }
    for (int input : call.inputs) {
      if (input < 0) continue;
      if (const int place = place_of[Root(input)]; place >= 0)
        lifetimes[place].last_call = static_cast<int>(index);
    }
  }
  const MemoryPlan plan = PlanMemory(lifetimes);
  for (size_t root = 0; root < place_of.size(); ++root) {
    if (place_of[root] >= 0) homes_[root] = {Place::kScratch, plan.offsets[place_of[root]]};
  }
  for (int place : shared_places) shared_scratch_offsets_.push_back(plan.offsets[place]);
  thread_scratch_offset_ = RoundUp(plan.bytes);
  thread_scratch_stride_ = RoundUp(thread);
  scratch_bytes_ = thread_scratch_offset_ + thread_scratch_stride_ * session_->threads();
}

void* Executable::Address(int value, const RunRequest& request, std::byte* scratch) const {
  const Home& home = homes_[Root(value)];
  switch (home.place) {
    case Place::kScratch:
      return scratch + home.index;
    case Place::kInput:
      return request.inputs[home.index];
    case Place::kOutput:
      return request.outputs[home.index];
    case Place::kTensor:
      return tensors_[home.index].data;
    case Place::kNone:
      break;
  }
  return nullptr;
}

Status Executable::Run(const RunRequest& request) {
  std::byte* scratch = nullptr;
  EMU_RETURN_IF_ERROR(session_->Scratch(scratch_bytes_, &scratch));
  if (request.call_nanoseconds != nullptr) request.call_nanoseconds->clear();
  for (size_t index = 0; index < program_.calls.size(); ++index) {
    if (IsCancelled(request)) return Status(Code::kCancelled, "[" + program_.name + "] cancelled");
    const auto start = std::chrono::steady_clock::now();
    EMU_RETURN_IF_ERROR(RunCall(index, request, scratch));
    if (request.call_nanoseconds != nullptr) {
      const auto time = std::chrono::steady_clock::now() - start;
      request.call_nanoseconds->push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
    }
  }
  for (const OutputCopy& copy : output_copies_) {
    std::memcpy(request.outputs[copy.output], Address(copy.value, request, scratch),
                static_cast<size_t>(program_.values[copy.value].bytes()));
  }
  return {};
}

Status Executable::RunCall(size_t index, const RunRequest& request, std::byte* scratch) {
  const ProgramCall& call = program_.calls[index];
  const CallPlan& plan = plans_[index];
  void** inputs = pointers_.data();
  void** outputs = inputs + call.inputs.size();
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    inputs[i] = call.inputs[i] < 0 ? nullptr : Address(call.inputs[i], request, scratch);
  }
  for (size_t i = 0; i < call.outputs.size(); ++i) outputs[i] = Address(call.outputs[i], request, scratch);
  if (plan.check) EMU_RETURN_IF_ERROR(plan.check(inputs));

  struct Job {
    const CallPlan* plan;
    TaskContext context;
    std::byte* thread_scratch;
    int64_t stride;
  } job = {&plan,
           {inputs, outputs, scratch + shared_scratch_offsets_[index], nullptr, 0, 0},
           scratch + thread_scratch_offset_,
           thread_scratch_stride_};
  for (size_t phase = 0; phase < plan.phase_tasks.size(); ++phase) {
    job.context.phase = static_cast<int>(phase);
    const auto run_task = [](void* context, int64_t task, int thread) {
      const Job& shared_job = *static_cast<const Job*>(context);
      TaskContext mine = shared_job.context;
      mine.task = task;
      mine.thread_scratch = shared_job.thread_scratch + shared_job.stride * thread;
      shared_job.plan->run(mine);
    };
    session_->pool().Run(plan.phase_tasks[phase], run_task, &job);
  }
  return request.check_finite ? CheckFinite(index, outputs) : Status();
}

Status Executable::CheckFinite(size_t index, void* const* outputs) const {
  const ProgramCall& call = program_.calls[index];
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const TensorType& type = program_.values[call.outputs[i]];
    if (type.dtype != DType::kF32) continue;
    const float* values = static_cast<const float*>(outputs[i]);
    const int64_t element = FirstNonFinite(values, type.shape.elements());
    if (element < type.shape.elements()) {
      return Status(Code::kNonFinite, "[" + call.op + "] call " + std::to_string(index) + " made " +
                                          std::to_string(values[element]) + " at element " +
                                          std::to_string(element) + " of %" +
                                          std::to_string(call.outputs[i]));
    }
  }
  return {};
}

}  // namespace emu
