// What a user opens and closes: weights, states, scratch and the threads that run programs on them.
//
// CreateState, DropState and Compile may be called from another thread than LoadWeight and Run; LoadWeight
// and Run themselves must follow one another.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "runtime/program_text.h"
#include "runtime/weight_source.h"

namespace emu {

// A weight or state in memory. The memory belongs to `buffer` or `file`.
struct StoredTensor {
  TensorType type;
  Layout layout = Layout::kPlain;
  std::byte* data = nullptr;
  int64_t bytes = 0;
  std::shared_ptr<Buffer> buffer;
  std::shared_ptr<MappedFile> file;
};

struct WeightRequest {
  std::string name;
  TensorType type;
  Layout layout = Layout::kPlain;
  DType stored_dtype = DType::kF32;
  std::vector<int64_t> strides;  // of the stored elements; empty = row-major
  // Either a file and an offset ...
  std::string path;
  int64_t byte_offset = 0;
  // ... or memory, which must stay until LoadWeight returns.
  const std::byte* data = nullptr;
  int64_t data_bytes = 0;
};

class Executable;

class Session {
 public:
  Session(int threads, Isa isa) : isa_(isa), pool_(threads) {}

  Isa isa() const { return isa_; }
  int threads() const { return pool_.threads(); }
  ThreadPool& pool() { return pool_; }

  Status LoadWeight(const WeightRequest& request);
  Status CreateState(const std::string& name, const TensorType& type);
  void DropState(const std::string& name);
  // Holds the state's memory, so that it may be copied later, in order with runs. NOT_READY for an unknown
  // name, SHAPE_MISMATCH unless the state has `bytes` bytes.
  Status FindState(const std::string& name, int64_t bytes, StoredTensor* out) const;
  // Copies with all threads; only from the thread that runs.
  void CopyBytes(const std::byte* from, int64_t bytes, std::byte* to);
  int64_t MemoryBytes() const;

  // Checks every call and plans memory. The executable keeps `self`, this session, and the tensors it uses
  // alive.
  Status Compile(std::string_view text, std::shared_ptr<Session> self, std::shared_ptr<Executable>* out);

  // Scratch that all programs of the session share, at least `bytes` large. Only from the thread that runs.
  Status Scratch(int64_t bytes, std::byte** out);

 private:
  Status OpenFile(const std::string& path, std::shared_ptr<MappedFile>* out);
  Status LocateSource(const WeightRequest& request, WeightSource* source, std::shared_ptr<MappedFile>* file);
  Status Pack(const WeightRequest& request, const WeightSource& source, const MappedFile* file,
              StoredTensor* stored);
  Status CopyPlain(const WeightRequest& request, const WeightSource& source, const MappedFile* file,
                   StoredTensor* stored);
  const StoredTensor* FindWeight(const std::string& name, Layout layout) const;

  const Isa isa_;
  ThreadPool pool_;
  mutable std::mutex mutex_;  // guards the maps
  std::map<std::pair<std::string, Layout>, StoredTensor> weights_;
  std::map<std::string, StoredTensor> states_;
  std::map<std::string, std::weak_ptr<MappedFile>> files_;
  std::shared_ptr<MappedFile> last_file_;  // keeps the file mapped between the weights of one checkpoint
  std::shared_ptr<Buffer> scratch_;
};

}  // namespace emu
