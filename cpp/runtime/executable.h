// A program made ready for one session: planned calls, planned memory, resolved tensors.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "runtime/op_table.h"
#include "runtime/session.h"

namespace emu {

struct RunRequest {
  std::vector<void*> inputs;   // parallel to Program::inputs
  std::vector<void*> outputs;  // parallel to Program::outputs
  // Set to 1 from any thread to stop before the next call.
  const int32_t* cancel = nullptr;
  bool check_finite = false;
  // When not null, receives the nanoseconds of every call.
  std::vector<int64_t>* call_nanoseconds = nullptr;
};

class Executable {
 public:
  // Checks and plans. `tensors` are the session's tensors for every weight and state value of the program, by
  // id.
  static Status Plan(std::shared_ptr<Session> session, Program program, std::vector<StoredTensor> tensors,
                     std::shared_ptr<Executable>* out);

  Session& session() const { return *session_; }
  const Program& program() const { return program_; }
  int64_t scratch_bytes() const { return scratch_bytes_; }

  Status Run(const RunRequest& request);

 private:
  // Where the memory of a value is.
  enum class Place { kNone, kScratch, kInput, kOutput, kTensor };
  struct Home {
    Place place = Place::kNone;
    int64_t index = 0;  // scratch offset, or index of the input, output or tensor
  };
  struct OutputCopy {
    int output;
    int value;
  };

  Status PlanCalls();
  Status CheckUpdates(const ProgramCall& call, const std::vector<int>& updated,
                      const std::vector<bool>& states) const;
  void PlanHomes();
  // By root, the last call that reads it; -1 where none does.
  std::vector<int> LastReads() const;
  // The root whose memory output 0 of a call may take over, or -1.
  int LeftInput(int index, const std::vector<int>& last_reads) const;
  void* Address(int value, const RunRequest& request, std::byte* scratch) const;
  Status RunCall(size_t index, const RunRequest& request, std::byte* scratch);
  Status CheckFinite(size_t index, void* const* outputs) const;
  int Root(int value) const;

  std::shared_ptr<Session> session_;
  Program program_;
  std::vector<StoredTensor> tensors_;
  std::vector<CallPlan> plans_;
  std::vector<int> aliases_;  // the value whose memory this one is; itself when it has its own
  std::vector<Home> homes_;   // of roots
  std::vector<OutputCopy> output_copies_;
  std::vector<int64_t> shared_scratch_offsets_;  // by call
  int64_t thread_scratch_offset_ = 0;
  int64_t thread_scratch_stride_ = 0;
  int64_t scratch_bytes_ = 0;
  std::vector<void*> pointers_;  // of the call that runs: inputs, then outputs
};

}  // namespace emu
