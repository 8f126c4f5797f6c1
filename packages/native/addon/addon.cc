// The whole N-API surface. It converts and checks arguments, hands work to the dispatcher and calls back; no
// model or kernel logic lives here. Its TypeScript side is packages/native/src/addon.ts.
#include <napi.h>

#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/isa.h"
#include "base/thread_pool.h"
#include "dispatcher.h"
#include "runtime/executable.h"
#include "runtime/op_table.h"
#include "runtime/session.h"

namespace {

using emu::Code;
using emu::Status;

// Kinds of External, so that one handle is never taken for another.
const napi_type_tag kSessionTag = {0x6d75656e61746976, 0x73657373696f6e00};
const napi_type_tag kExecutableTag = {0x6d75656e61746976, 0x657865637574616c};

// Jobs of one JavaScript environment (the main thread or a worker) that have not called back yet.
struct Environment {
  Napi::ThreadSafeFunction to_javascript;
  int pending = 0;  // touched by the JavaScript thread only
  std::mutex mutex;
  std::condition_variable idle;
  int running = 0;  // guarded by mutex
  int32_t closing = 0;
};

struct Job {
  Environment* environment;
  Napi::FunctionReference callback;
  std::vector<Napi::ObjectReference> pinned;  // buffers that native code reads or writes meanwhile
  std::function<Status()> work;
  std::function<Napi::Value(Napi::Env)> result;  // of a job that went well; may be empty
  Status status;
};

// callback(code, message, result): code is null when all went well.
void CallBack(Napi::Env env, Napi::Function, Job* job) {
  Environment* environment = job->environment;
  if (env != nullptr) {
    Napi::HandleScope scope(env);
    if (--environment->pending == 0) environment->to_javascript.Unref(env);
    if (job->status.ok()) {
      const Napi::Value result = job->result ? job->result(env) : env.Undefined();
      job->callback.Call({env.Null(), env.Null(), result});
    } else {
      job->callback.Call({Napi::String::New(env, emu::CodeName(job->status.code())),
                          Napi::String::New(env, job->status.message()), env.Undefined()});
    }
  } else {
    // The environment is gone and took its references along.
    job->callback.SuppressDestruct();
    for (Napi::ObjectReference& reference : job->pinned) reference.SuppressDestruct();
  }
  delete job;
}

void Submit(Napi::Env env, std::unique_ptr<Job> job) {
  Environment* environment = env.GetInstanceData<Environment>();
  job->environment = environment;
  if (environment->pending++ == 0) environment->to_javascript.Ref(env);
  {
    std::lock_guard<std::mutex> lock(environment->mutex);
    ++environment->running;
  }
  emu::Dispatcher::Get().Submit([shared = job.release(), environment] {
    shared->status = environment->closing != 0
                         ? Status(Code::kCancelled, "[native] the environment is closing")
                         : shared->work();
    shared->work = nullptr;  // lets go of sessions on this thread
    const napi_status called = environment->to_javascript.NonBlockingCall(shared, CallBack);
    // When the environment is going away the callback never runs; its references die with it.
    (void)called;
    std::lock_guard<std::mutex> lock(environment->mutex);
    --environment->running;
    environment->idle.notify_all();
  });
}

Napi::Value Throw(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("code", Napi::String::New(env, emu::CodeName(status.code())));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

template <typename T>
Napi::Value Wrap(Napi::Env env, std::shared_ptr<T> held, const napi_type_tag& tag) {
  auto* slot = new std::shared_ptr<T>(std::move(held));
  auto external = Napi::External<std::shared_ptr<T>>::New(
      env, slot, [](Napi::Env, std::shared_ptr<T>* mine) { delete mine; });
  napi_type_tag_object(env, external, &tag);
  return external;
}

// The handle's content, or null after throwing.
template <typename T>
std::shared_ptr<T>* Unwrap(const Napi::CallbackInfo& info, size_t index, const napi_type_tag& tag) {
  bool tagged = false;
  if (info[index].IsExternal() &&
      napi_check_object_type_tag(info.Env(), info[index], &tag, &tagged) == napi_ok && tagged) {
    auto* slot = info[index].As<Napi::External<std::shared_ptr<T>>>().Data();
    if (*slot != nullptr) return slot;
    Throw(info.Env(), Status(Code::kDisposed, "[session] the session has been disposed"));
    return nullptr;
  }
  Throw(info.Env(),
        Status(Code::kInternal, "[native] argument " + std::to_string(index) + " is not the right handle"));
  return nullptr;
}

// Memory of a typed array; null data for an empty one is fine.
bool View(const Napi::Value& value, std::byte** data, int64_t* bytes) {
  if (!value.IsTypedArray()) return false;
  const Napi::TypedArray array = value.As<Napi::TypedArray>();
  *data = static_cast<std::byte*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  *bytes = static_cast<int64_t>(array.ByteLength());
  return true;
}

std::vector<int64_t> Integers(const Napi::Value& value) {
  std::vector<int64_t> out;
  if (!value.IsArray()) return out;
  const Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) out.push_back(array.Get(i).As<Napi::Number>().Int64Value());
  return out;
}

bool ReadType(const Napi::Value& shape, const Napi::Value& dtype, emu::TensorType* type) {
  const std::vector<int64_t> sides = Integers(shape);
  if (!shape.IsArray() || sides.size() > emu::kMaxRank || !dtype.IsNumber()) return false;
  type->shape.rank = static_cast<int>(sides.size());
  int64_t bytes = 8;
  for (size_t i = 0; i < sides.size(); ++i) {
    type->shape.sides[i] = sides[i];
    if (sides[i] < 0 || __builtin_mul_overflow(bytes, sides[i] > 1 ? sides[i] : 1, &bytes)) return false;
  }
  const uint32_t kind = dtype.As<Napi::Number>().Uint32Value();
  type->dtype = static_cast<emu::DType>(kind);
  return kind <= static_cast<uint32_t>(emu::DType::kBool);
}

// openSession(threads, instructionSet or "") -> session
Napi::Value OpenSession(const Napi::CallbackInfo& info) {
  const int threads = info[0].As<Napi::Number>().Int32Value();
  const std::string name = info[1].As<Napi::String>().Utf8Value();
  emu::Isa isa = emu::DetectIsa();
  if (!name.empty() && (!emu::IsaFromName(name.c_str(), &isa) || !emu::IsaAvailable(isa))) {
    return Throw(info.Env(),
                 Status(Code::kInvalidOption, "[native] this machine cannot run instruction set " + name));
  }
  return Wrap(info.Env(), std::make_shared<emu::Session>(threads, isa), kSessionTag);
}

// closeSession(session, callback): frees it once the work before it is done.
void CloseSession(const Napi::CallbackInfo& info) {
  auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag);
  if (slot == nullptr) return;
  auto job = std::make_unique<Job>();
  job->callback = Napi::Persistent(info[1].As<Napi::Function>());
  auto session = std::make_shared<std::shared_ptr<emu::Session>>(std::move(*slot));
  slot->reset();
  job->work = [session] {
    session->reset();
    return Status();
  };
  Submit(info.Env(), std::move(job));
}

// closeExecutable(executable)
void CloseExecutable(const Napi::CallbackInfo& info) {
  if (auto* slot = Unwrap<emu::Executable>(info, 0, kExecutableTag)) {
    // Work that runs now holds a reference of its own.
    slot->reset();
  }
}

// loadWeight(session, {name, shape, dtype, layout, storedDtype, strides?, path?, byteOffset?, data?},
// callback)
Napi::Value LoadWeight(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag);
  if (slot == nullptr) return env.Undefined();
  const Napi::Object from = info[1].As<Napi::Object>();
  emu::WeightRequest request;
  request.name = from.Get("name").As<Napi::String>().Utf8Value();
  request.layout = static_cast<emu::Layout>(from.Get("layout").As<Napi::Number>().Int32Value());
  request.stored_dtype = static_cast<emu::DType>(from.Get("storedDtype").As<Napi::Number>().Int32Value());
  request.strides = Integers(from.Get("strides"));
  if (!ReadType(from.Get("shape"), from.Get("dtype"), &request.type)) {
    return Throw(env, Status(Code::kShapeMismatch, "[weights] \"" + request.name + "\" has no valid shape"));
  }
  auto job = std::make_unique<Job>();
  if (const Napi::Value path = from.Get("path"); path.IsString()) {
    request.path = path.As<Napi::String>().Utf8Value();
    request.byte_offset = from.Get("byteOffset").As<Napi::Number>().Int64Value();
  } else {
    std::byte* data = nullptr;
    if (!View(from.Get("data"), &data, &request.data_bytes)) {
      return Throw(
          env, Status(Code::kInvalidOption, "[weights] \"" + request.name + "\" has neither path nor data"));
    }
    request.data = data;
    job->pinned.push_back(Napi::Persistent(from.Get("data").As<Napi::Object>()));
  }
  job->callback = Napi::Persistent(info[2].As<Napi::Function>());
  job->work = [session = *slot, request] { return session->LoadWeight(request); };
  Submit(env, std::move(job));
  return env.Undefined();
}

// createState(session, name, shape, dtype)
Napi::Value CreateState(const Napi::CallbackInfo& info) {
  auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag);
  if (slot == nullptr) return info.Env().Undefined();
  emu::TensorType type;
  if (!ReadType(info[2], info[3], &type)) {
    return Throw(info.Env(), Status(Code::kShapeMismatch, "[session] the state has no valid shape"));
  }
  const Status status = (*slot)->CreateState(info[1].As<Napi::String>().Utf8Value(), type);
  return status.ok() ? info.Env().Undefined() : Throw(info.Env(), status);
}

// dropState(session, name)
void DropState(const Napi::CallbackInfo& info) {
  if (auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag)) {
    (*slot)->DropState(info[1].As<Napi::String>().Utf8Value());
  }
}

// Copies between a state and a typed array when the work asked for before is done.
Napi::Value CopyState(const Napi::CallbackInfo& info, bool write) {
  const Napi::Env env = info.Env();
  auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag);
  if (slot == nullptr) return env.Undefined();
  const std::string name = info[1].As<Napi::String>().Utf8Value();
  std::byte* data = nullptr;
  int64_t bytes = 0;
  if (!View(info[2], &data, &bytes)) {
    return Throw(env, Status(Code::kInvalidOption, "[session] state \"" + name + "\" needs a typed array"));
  }
  emu::StoredTensor state;
  if (const Status status = (*slot)->FindState(name, bytes, &state); !status.ok()) return Throw(env, status);
  auto job = std::make_unique<Job>();
  job->pinned.push_back(Napi::Persistent(info[2].As<Napi::Object>()));
  job->callback = Napi::Persistent(info[3].As<Napi::Function>());
  job->work = [session = *slot, state = std::move(state), data, bytes, write] {
    session->CopyBytes(write ? data : state.data, bytes, write ? state.data : data);
    return Status();
  };
  Submit(env, std::move(job));
  return env.Undefined();
}

// writeState(session, name, data, callback)
Napi::Value WriteState(const Napi::CallbackInfo& info) { return CopyState(info, true); }

// readState(session, name, into, callback)
Napi::Value ReadState(const Napi::CallbackInfo& info) { return CopyState(info, false); }

// memoryBytes(session) -> number
Napi::Value MemoryBytes(const Napi::CallbackInfo& info) {
  auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag);
  if (slot == nullptr) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>((*slot)->MemoryBytes()));
}

// compile(session, text) -> { executable, scratchBytes }
Napi::Value Compile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto* slot = Unwrap<emu::Session>(info, 0, kSessionTag);
  if (slot == nullptr) return env.Undefined();
  std::shared_ptr<emu::Executable> executable;
  const Status status = (*slot)->Compile(info[1].As<Napi::String>().Utf8Value(), *slot, &executable);
  if (!status.ok()) return Throw(env, status);
  Napi::Object out = Napi::Object::New(env);
  out.Set("scratchBytes", Napi::Number::New(env, static_cast<double>(executable->scratch_bytes())));
  out.Set("executable", Wrap(env, std::move(executable), kExecutableTag));
  return out;
}

// Pins an array of typed arrays and collects their addresses; false unless each has the bytes its value
// needs.
bool Collect(const Napi::Value& value, const std::vector<emu::Binding>& bindings, const emu::Program& program,
             Job* job, std::vector<void*>* addresses) {
  if (!value.IsArray()) return false;
  const Napi::Array arrays = value.As<Napi::Array>();
  if (arrays.Length() != bindings.size()) return false;
  for (uint32_t i = 0; i < arrays.Length(); ++i) {
    std::byte* data = nullptr;
    int64_t bytes = 0;
    if (!View(arrays.Get(i), &data, &bytes)) return false;
    if (bytes != program.values[bindings[i].value].bytes()) return false;
    addresses->push_back(data);
  }
  job->pinned.push_back(Napi::Persistent(arrays.As<Napi::Object>()));
  return true;
}

// run(executable, inputs, outputs, cancel: Int32Array, checkFinite, profile, callback): callback's result is
// the nanoseconds of every call when `profile` is true.
Napi::Value Run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto* slot = Unwrap<emu::Executable>(info, 0, kExecutableTag);
  if (slot == nullptr) return env.Undefined();
  const emu::Program& program = (*slot)->program();
  auto job = std::make_unique<Job>();
  emu::RunRequest request;
  std::byte* cancel = nullptr;
  int64_t cancel_bytes = 0;
  if (!Collect(info[1], program.inputs, program, job.get(), &request.inputs) ||
      !Collect(info[2], program.outputs, program, job.get(), &request.outputs) ||
      !View(info[3], &cancel, &cancel_bytes) || cancel_bytes != 4) {
    return Throw(env, Status(Code::kShapeMismatch, "[" + program.name + "] buffers do not fit the program"));
  }
  job->pinned.push_back(Napi::Persistent(info[3].As<Napi::Object>()));
  request.cancel = reinterpret_cast<const int32_t*>(cancel);
  request.check_finite = info[4].As<Napi::Boolean>().Value();
  auto times = std::make_shared<std::vector<int64_t>>();
  if (info[5].As<Napi::Boolean>().Value()) {
    request.call_nanoseconds = times.get();
    job->result = [times](Napi::Env result_env) -> Napi::Value {
      Napi::Array out = Napi::Array::New(result_env, times->size());
      for (size_t i = 0; i < times->size(); ++i) {
        out.Set(static_cast<uint32_t>(i), Napi::Number::New(result_env, static_cast<double>((*times)[i])));
      }
      return out;
    };
  }
  job->callback = Napi::Persistent(info[6].As<Napi::Function>());
  job->work = [executable = *slot, request = std::move(request), times] {
    executable->session().pool().SettleCaller();
    return executable->Run(request);
  };
  Submit(env, std::move(job));
  return env.Undefined();
}

// describe() -> { instructionSet, available, cores, ops }
Napi::Value Describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object out = Napi::Object::New(env);
  out.Set("instructionSet", emu::IsaName(emu::DetectIsa()));
  out.Set("cores", Napi::Number::New(env, emu::AvailableCores()));
  Napi::Array available = Napi::Array::New(env);
  for (emu::Isa isa :
       {emu::Isa::kAmx, emu::Isa::kAvx512Bf16, emu::Isa::kAvx512, emu::Isa::kAvx2, emu::Isa::kPortable}) {
    if (emu::IsaAvailable(isa)) available.Set(available.Length(), emu::IsaName(isa));
  }
  out.Set("available", available);
  Napi::Array ops = Napi::Array::New(env);
  for (const emu::OpImplementation& op : emu::AllOps()) ops.Set(ops.Length(), op.name);
  out.Set("ops", ops);
  return out;
}

// A worker that ends while its work runs must wait for it: the work reads the worker's buffers.
void WaitUntilIdle(Environment* environment) {
  __atomic_store_n(&environment->closing, 1, __ATOMIC_RELEASE);
  std::unique_lock<std::mutex> lock(environment->mutex);
  environment->idle.wait(lock, [&] { return environment->running == 0; });
}

void KeepEnvironment(Napi::Env, Environment*) {}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment();
  environment->to_javascript = Napi::ThreadSafeFunction::New(
      env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "emu-native", 0, 1);
  environment->to_javascript.Unref(env);
  // Never freed: the dispatcher may still hold its lock while the environment goes away.
  env.SetInstanceData<Environment, KeepEnvironment>(environment);
  env.AddCleanupHook(WaitUntilIdle, environment);
  exports.Set("openSession", Napi::Function::New<OpenSession>(env));
  exports.Set("closeSession", Napi::Function::New<CloseSession>(env));
  exports.Set("closeExecutable", Napi::Function::New<CloseExecutable>(env));
  exports.Set("loadWeight", Napi::Function::New<LoadWeight>(env));
  exports.Set("createState", Napi::Function::New<CreateState>(env));
  exports.Set("dropState", Napi::Function::New<DropState>(env));
  exports.Set("writeState", Napi::Function::New<WriteState>(env));
  exports.Set("readState", Napi::Function::New<ReadState>(env));
  exports.Set("memoryBytes", Napi::Function::New<MemoryBytes>(env));
  exports.Set("compile", Napi::Function::New<Compile>(env));
  exports.Set("run", Napi::Function::New<Run>(env));
  exports.Set("describe", Napi::Function::New<Describe>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(emu_native, Init)
