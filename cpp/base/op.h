// How an op meets the executor.
//
// At planning time an op checks types and attributes and returns a CallPlan: how many independent tasks each
// phase has, the scratch it needs, and the function that runs one task. The executor spreads the tasks of a
// phase over its threads in any order, with a barrier between phases. A task's result may depend on nothing
// but its inputs and its number, so the result of a run never depends on the thread count.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/isa.h"
#include "base/status.h"
#include "base/tensor_type.h"

namespace emu {

using AttributeValue = std::variant<double, std::string, std::vector<double>>;

// The attributes of a call, in the names of the op list.
class Attributes {
 public:
  std::map<std::string, AttributeValue> values;

  // Each returns INVALID_OPTION naming the attribute when it is missing or of another kind.
  Status Number(const char* name, double* out) const;
  Status Integer(const char* name, int64_t* out) const;
  Status Text(const char* name, std::string* out) const;
  Status Integers(const char* name, std::vector<int64_t>* out) const;
  bool Has(const char* name) const { return values.find(name) != values.end(); }
};

// How an input lies in memory. The packed layouts are those of base/gemm/packing.h.
enum class Layout { kPlain, kLinear, kConvolution };

// A call as its planner sees it.
struct CallTypes {
  std::string op;
  std::vector<const TensorType*> inputs;  // null where an optional input is absent
  std::vector<Layout> layouts;            // parallel to inputs
  std::vector<TensorType> outputs;        // as the program declares them; the planner checks them
  Attributes attributes;
  Isa isa;
  int threads;

  bool has(size_t input) const { return input < inputs.size() && inputs[input] != nullptr; }
  const Shape& shape(size_t input) const { return inputs[input]->shape; }
  // TENSOR_SHAPE_MISMATCH with the op's name, `message` and all input types.
  Status Refuse(const std::string& message) const;
  // Checks the number of inputs (`least` of them present), the number of outputs, and what an output is.
  Status CheckArity(size_t least, size_t most, size_t makes = 1) const;
  Status CheckOutput(const TensorType& type, size_t output = 0) const;
};

// Pointers of one task. A pointer of an absent input is null.
struct TaskContext {
  void* const* inputs;
  void* const* outputs;
  void* shared_scratch;  // one per call, kept between its phases, 64-byte aligned
  void* thread_scratch;  // one per thread, undefined content, 64-byte aligned
  int phase;
  int64_t task;

  const float* in(int index) const { return static_cast<const float*>(inputs[index]); }
  const int32_t* indices(int index) const { return static_cast<const int32_t*>(inputs[index]); }
  float* out(int index = 0) const { return static_cast<float*>(outputs[index]); }
};

struct CallPlan {
  std::vector<int64_t> phase_tasks;
  int64_t shared_scratch_bytes = 0;
  int64_t thread_scratch_bytes = 0;
  // Runs one task. Never allocates, never fails, never throws.
  std::function<void(const TaskContext&)> run;
  // Checks values that index memory (ids, slots, positions) before the call runs; empty when there are none.
  std::function<Status(void* const* inputs)> check;
};

// Where the outputs of an op lie.
enum class Memory {
  kOwn,
  // Output 0 is the memory of input 0.
  kOfInput,
  // Output 0 has the type of input 0 and may take its memory, if nothing reads the input any more: the op
  // writes an element after it has read what it needs of the row.
  kLeftByInput,
};

struct OpImplementation {
  const char* name;
  Status (*plan)(const CallTypes& call, CallPlan* plan);
  Memory memory;
  // Inputs that are states which the op changes; the executor makes sure that they are, and all different.
  std::vector<int> updated_inputs;
};

std::string ToText(const TensorType& type);

// Splits `rows` rows into tasks of equal size: about four per thread, at least `least_rows` rows each. The
// split never changes what a row's result is.
struct RowSplit {
  int64_t rows_per_task;
  int64_t tasks;
  Rows rows(int64_t task, int64_t total) const {
    const int64_t begin = task * rows_per_task;
    return {begin, begin + rows_per_task < total ? begin + rows_per_task : total};
  }
};
RowSplit SplitRows(int64_t rows, int64_t least_rows, int threads);

}  // namespace emu
