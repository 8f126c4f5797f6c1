// Runs one op call in a test the way the executor does: plan, allocate, check, then every task of every
// phase, in shuffled order and on the scratch of a random thread. Outputs and scratch start as NaN, so a
// result that depends on the order, on a thread or on unwritten memory shows.
#pragma once

#include <cstring>
#include <initializer_list>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/bf16.h"
#include "base/op.h"
#include "base/test.h"
#include "runtime/op_table.h"  // tests may look up: nothing that ships includes this file

namespace emu::test {

// 64-byte aligned memory of exactly `size` bytes (so that AddressSanitizer sees an overrun), all 0xff.
class Bytes {
 public:
  explicit Bytes(int64_t size = 0)
      : size_(size), data_(::operator new(static_cast<size_t>(size), kAlignment)) {
    std::memset(data_, 0xff, static_cast<size_t>(size_));
  }
  Bytes(const Bytes& other) : Bytes(other.size_) { Copy(other); }
  Bytes(Bytes&& other) noexcept
      : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  Bytes& operator=(Bytes other) {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Bytes() { ::operator delete(data_, kAlignment); }

  void* data() const { return data_; }
  int64_t size() const { return size_; }
  bool operator==(const Bytes& other) const {
    return size_ == other.size_ &&
           (size_ == 0 || std::memcmp(data_, other.data_, static_cast<size_t>(size_)) == 0);
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  void Copy(const Bytes& other) {
    if (size_ > 0) std::memcpy(data_, other.data_, static_cast<size_t>(size_));
  }
  int64_t size_;
  void* data_;
};

// A tensor with its memory. `==` is bit equality of type and content.
struct Tensor {
  TensorType type;
  Bytes bytes;

  explicit Tensor(const TensorType& tensor_type) : type(tensor_type), bytes(tensor_type.bytes()) {}
  float* f32() const { return static_cast<float*>(bytes.data()); }
  Bf16* bf16() const { return static_cast<Bf16*>(bytes.data()); }
  int32_t* i32() const { return static_cast<int32_t*>(bytes.data()); }
  std::vector<float> Floats() const {
    std::vector<float> out(static_cast<size_t>(type.shape.elements()));
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = type.dtype == DType::kBf16 ? ToFloat(bf16()[i]) : f32()[i];
    return out;
  }
  bool operator==(const Tensor& other) const { return type == other.type && bytes == other.bytes; }
};

inline TensorType Type(DType dtype, std::initializer_list<int64_t> sides) {
  TensorType type;
  type.dtype = dtype;
  for (int64_t side : sides) type.shape.sides[type.shape.rank++] = side;
  return type;
}
inline TensorType F32Type(std::initializer_list<int64_t> sides) { return Type(DType::kF32, sides); }

// Tensors of given values; ValuesBf16 rounds them. The number of values must fit the sides.
inline Tensor Values(std::initializer_list<int64_t> sides, const std::vector<float>& values) {
  Tensor tensor(Type(DType::kF32, sides));
  for (size_t i = 0; i < values.size(); ++i) tensor.f32()[i] = values[i];
  return tensor;
}
inline Tensor ValuesBf16(std::initializer_list<int64_t> sides, const std::vector<float>& values) {
  Tensor tensor(Type(DType::kBf16, sides));
  for (size_t i = 0; i < values.size(); ++i) tensor.bf16()[i] = ToBf16(values[i]);
  return tensor;
}
inline Tensor Indices(std::initializer_list<int64_t> sides, const std::vector<int32_t>& values) {
  Tensor tensor(Type(DType::kI32, sides));
  for (size_t i = 0; i < values.size(); ++i) tensor.i32()[i] = values[i];
  return tensor;
}
// Repeatable values in -1..1.
inline Tensor RandomValues(std::initializer_list<int64_t> sides, Random& random) {
  return Values(sides, random.Floats(F32Type(sides).shape.elements()));
}

struct CallOptions {
  int threads = 2;
  uint64_t order = 1;           // seed of the task order and of the threads that tasks land on
  std::vector<Layout> layouts;  // all plain when empty
  Isa isa = DetectIsa();
  bool reuse_input = false;  // of an op that may: output 0 lies over a copy of input 0
};

struct CallResult {
  Status status;
  std::vector<Tensor> outputs;  // empty unless status is ok
};

inline void RunPhases(const CallPlan& plan, const CallOptions& options, void* const* inputs,
                      void* const* outputs) {
  const Bytes shared(plan.shared_scratch_bytes);
  const std::vector<Bytes> scratch(static_cast<size_t>(options.threads), Bytes(plan.thread_scratch_bytes));
  Random random(options.order);
  for (size_t phase = 0; phase < plan.phase_tasks.size(); ++phase) {
    std::vector<int64_t> tasks(static_cast<size_t>(plan.phase_tasks[phase]));
    for (size_t i = 0; i < tasks.size(); ++i) tasks[i] = static_cast<int64_t>(i);
    for (size_t i = tasks.size(); i > 1; --i) std::swap(tasks[i - 1], tasks[random.Next() % i]);
    for (int64_t task : tasks) {
      void* thread_scratch = scratch[random.Next() % scratch.size()].data();
      plan.run({inputs, outputs, shared.data(), thread_scratch, static_cast<int>(phase), task});
    }
  }
}

// Plans and runs `op`. A null input is absent. An aliasing op gets a copy of input 0, returned as output 0.
// The status is the planner's, or that of the check of index values.
inline CallResult RunCall(const std::string& op, const std::vector<const Tensor*>& inputs,
                          const std::vector<TensorType>& output_types,
                          const std::map<std::string, AttributeValue>& attributes,
                          const CallOptions& options = {}) {
  const OpImplementation* implementation = FindOp(op);
  if (implementation == nullptr) return {Status(Code::kInternal, "no op named " + op), {}};
  CallTypes call = {op, {}, options.layouts, output_types, {attributes}, options.isa, options.threads};
  call.layouts.resize(inputs.size(), Layout::kPlain);
  std::vector<void*> input_data, output_data;
  for (const Tensor* input : inputs) {
    call.inputs.push_back(input == nullptr ? nullptr : &input->type);
    input_data.push_back(input == nullptr ? nullptr : input->bytes.data());
  }
  CallPlan plan;
  CallResult result{implementation->plan(call, &plan), {}};
  if (!result.status.ok()) return result;

  std::vector<Tensor> outputs;
  for (const TensorType& type : output_types) outputs.emplace_back(type);
  if (implementation->memory == Memory::kOfInput || options.reuse_input) {
    outputs[0] = *inputs[0];
    input_data[0] = outputs[0].bytes.data();
  }
  for (const Tensor& output : outputs) output_data.push_back(output.bytes.data());
  if (plan.check) result.status = plan.check(input_data.data());
  if (!result.status.ok()) return result;
  RunPhases(plan, options, input_data.data(), output_data.data());
  result.outputs = std::move(outputs);
  return result;
}

}  // namespace emu::test
