#include "runtime/session.h"

#include <algorithm>
#include <cstring>

#include "base/gemm/packing.h"
#include "runtime/executable.h"

namespace emu {
namespace {

// Plain tensors of at least this size that need no conversion stay in the mapped file.
constexpr int64_t kLeastMappedBytes = int64_t{1} << 20;

// Elements that one task converts.
constexpr int64_t kChunk = 1 << 18;

// Bytes of a state that one task copies.
constexpr int64_t kCopyBytes = int64_t{1} << 20;

// Rows of a packed weight: a matrix as it is, a convolution kernel as [O, kh*kw*C].
struct PackedRows {
  int64_t outputs;
  int64_t width;
};

Status RowsOf(const WeightRequest& request, PackedRows* rows) {
  const Shape& shape = request.type.shape;
  const int rank = request.layout == Layout::kLinear ? 2 : 4;
  if (shape.rank != rank) {
    return Status(Code::kShapeMismatch, "[weights] \"" + request.name + "\" needs " + std::to_string(rank) +
                                            " sides, has " + ToText(request.type));
  }
  if (request.type.dtype != DType::kF32 && request.type.dtype != DType::kBf16) {
    return Status(Code::kInvalidOption, "[weights] \"" + request.name +
                                            "\" can be packed as f32 or bf16, not " + ToText(request.type));
  }
  *rows = {shape[0], shape.product(1, rank)};
  return {};
}

// Lets go of the pages that a weight was read from. Pieces are let go while they are read; but a read near a
// border maps pages of the piece before it again.
void ReleaseAll(const WeightRequest& request, const WeightSource& source, const MappedFile* file) {
  if (file == nullptr) return;
  const int64_t elements = Extent(request.type.shape, source.strides);
  file->Release(request.byte_offset, elements * BytesPerElement(source.dtype));
}

}  // namespace

Status Session::OpenFile(const std::string& path, std::shared_ptr<MappedFile>* out) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::shared_ptr<MappedFile> open = files_[path].lock()) {
      *out = std::move(open);
      return {};
    }
  }
  EMU_RETURN_IF_ERROR(MappedFile::Open(path, out));
  std::lock_guard<std::mutex> lock(mutex_);
  files_[path] = *out;
  last_file_ = *out;
  return {};
}

Status Session::LocateSource(const WeightRequest& request, WeightSource* source,
                             std::shared_ptr<MappedFile>* file) {
  EMU_RETURN_IF_ERROR(WeightSource::Check(request.stored_dtype, request.type.dtype));
  source->dtype = request.stored_dtype;
  source->strides = request.strides.empty() ? RowMajorStrides(request.type.shape) : request.strides;
  const int64_t extent = Extent(request.type.shape, source->strides);
  int64_t needed = 0;
  if (extent < 0 || __builtin_mul_overflow(extent, BytesPerElement(request.stored_dtype), &needed)) {
    return Status(Code::kCheckpointCorrupt,
                  "[weights] \"" + request.name + "\" has strides that do not fit " + ToText(request.type));
  }
  int64_t there = request.data_bytes;
  source->data = request.data;
  if (!request.path.empty()) {
    EMU_RETURN_IF_ERROR(OpenFile(request.path, file));
    there = request.byte_offset < 0 ? -1 : (*file)->bytes() - request.byte_offset;
    source->data = (*file)->data() + request.byte_offset;
  }
  if (needed > there) {
    return Status(Code::kCheckpointCorrupt, "[weights] \"" + request.name + "\" needs " +
                                                std::to_string(needed) + " bytes, " + std::to_string(there) +
                                                " are there");
  }
  return {};
}

const StoredTensor* Session::FindWeight(const std::string& name, Layout layout) const {
  const auto found = weights_.find({name, layout});
  return found == weights_.end() ? nullptr : &found->second;
}

Status Session::LoadWeight(const WeightRequest& request) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (FindWeight(request.name, request.layout) != nullptr) return {};
  }
  WeightSource source;
  std::shared_ptr<MappedFile> file;
  EMU_RETURN_IF_ERROR(LocateSource(request, &source, &file));
  StoredTensor stored;
  stored.type = request.type;
  stored.layout = request.layout;
  const bool as_stored = request.stored_dtype == request.type.dtype && source.RowMajor(request.type.shape);
  const bool aligned = reinterpret_cast<uintptr_t>(source.data) % BytesPerElement(request.type.dtype) == 0;
  if (request.layout != Layout::kPlain) {
    EMU_RETURN_IF_ERROR(Pack(request, source, file.get(), &stored));
  } else if (file != nullptr && as_stored && aligned && request.type.bytes() >= kLeastMappedBytes) {
    stored.data = const_cast<std::byte*>(source.data);
    stored.bytes = 0;  // the system's page cache holds it, not we
    stored.file = file;
  } else {
    EMU_RETURN_IF_ERROR(CopyPlain(request, source, file.get(), &stored));
  }
  std::lock_guard<std::mutex> lock(mutex_);
  weights_.emplace(std::make_pair(request.name, request.layout), std::move(stored));
  return {};
}

Status Session::CopyPlain(const WeightRequest& request, const WeightSource& source, const MappedFile* file,
                          StoredTensor* stored) {
  EMU_RETURN_IF_ERROR(Buffer::Allocate(request.type.bytes(), &stored->buffer));
  stored->data = stored->buffer->data();
  stored->bytes = stored->buffer->bytes();
  struct Job {
    const WeightRequest* request;
    const WeightSource* source;
    const MappedFile* file;  // null unless what was read can be let go
    std::byte* out;
    int64_t elements;
  } job = {&request, &source, source.RowMajor(request.type.shape) ? file : nullptr, stored->data,
           request.type.shape.elements()};
  const auto convert = [](void* context, int64_t task, int) {
    const Job& mine = *static_cast<const Job*>(context);
    const int64_t begin = task * kChunk;
    const int64_t count = std::min(kChunk, mine.elements - begin);
    const DType dtype = mine.request->type.dtype;
    mine.source->Read(mine.request->type.shape, begin, count, dtype,
                      mine.out + begin * BytesPerElement(dtype));
    // Piece by piece: a table of embeddings can be larger than all that loading may need beyond the model.
    if (mine.file != nullptr) {
      const int64_t size = BytesPerElement(mine.source->dtype);
      mine.file->Release(mine.request->byte_offset + begin * size, count * size);
    }
  };
  pool_.Run((job.elements + kChunk - 1) / kChunk, convert, &job);
  ReleaseAll(request, source, file);
  return {};
}

Status Session::Pack(const WeightRequest& request, const WeightSource& source, const MappedFile* file,
                     StoredTensor* stored) {
  PackedRows rows;
  EMU_RETURN_IF_ERROR(RowsOf(request, &rows));
  const DType dtype = request.type.dtype;
  const PackKernels& kernels = pack_kernels_for(isa_);
  EMU_RETURN_IF_ERROR(Buffer::Allocate(PackedBytes(isa_, dtype, rows.outputs, rows.width), &stored->buffer));
  stored->data = stored->buffer->data();
  stored->bytes = stored->buffer->bytes();

  // Every thread reads the rows of one panel into its own scratch, then packs them.
  const int64_t row_bytes = rows.width * BytesPerElement(dtype);
  const int64_t thread_bytes = row_bytes * (kernels.panel_rows + 1) + 128;
  std::shared_ptr<Buffer> scratch;
  EMU_RETURN_IF_ERROR(Buffer::Allocate(thread_bytes * threads(), &scratch));
  struct Job {
    const WeightRequest* request;
    const WeightSource* source;
    const PackKernels* kernels;
    const MappedFile* file;
    PackedRows rows;
    int64_t row_bytes, thread_bytes, panel_bytes;
    std::byte* scratch;
    std::byte* out;
  } job = {&request,
           &source,
           &kernels,
           file,
           rows,
           row_bytes,
           thread_bytes,
           PanelBytes(isa_, dtype, rows.width),
           scratch->data(),
           stored->data};
  const auto pack_panel = [](void* context, int64_t panel, int thread) {
    const Job& mine = *static_cast<const Job*>(context);
    const Shape& shape = mine.request->type.shape;
    const DType wanted = mine.request->type.dtype;
    const int64_t first = panel * mine.kernels->panel_rows;
    const int valid =
        static_cast<int>(std::min<int64_t>(mine.kernels->panel_rows, mine.rows.outputs - first));
    std::byte* panel_rows = mine.scratch + mine.thread_bytes * thread;
    std::byte* source_row = panel_rows + mine.row_bytes * mine.kernels->panel_rows;
    for (int row = 0; row < valid; ++row) {
      std::byte* to = panel_rows + row * mine.row_bytes;
      const int64_t begin = (first + row) * mine.rows.width;
      if (mine.request->layout == Layout::kLinear) {
        mine.source->Read(shape, begin, mine.rows.width, wanted, to);
      } else {
        mine.source->Read(shape, begin, mine.rows.width, wanted, source_row);
        ConvolutionRow(wanted, source_row, 0, shape[1], shape[2], shape[3], to);
      }
    }
    mine.kernels->pack_panel(wanted, panel_rows, valid, mine.rows.width, mine.out + panel * mine.panel_bytes);
    if (mine.file != nullptr && mine.source->RowMajor(shape)) {
      const int64_t stored_row = mine.rows.width * BytesPerElement(mine.source->dtype);
      mine.file->Release(mine.request->byte_offset + first * stored_row, valid * stored_row);
    }
  };
  pool_.Run(PanelCount(isa_, rows.outputs), pack_panel, &job);
  ReleaseAll(request, source, file);
  return {};
}

Status Session::CreateState(const std::string& name, const TensorType& type) {
  StoredTensor state;
  state.type = type;
  EMU_RETURN_IF_ERROR(Buffer::Allocate(type.bytes(), &state.buffer));
  state.data = state.buffer->data();
  state.bytes = state.buffer->bytes();
  std::lock_guard<std::mutex> lock(mutex_);
  states_[name] = std::move(state);
  return {};
}

void Session::DropState(const std::string& name) {
  std::lock_guard<std::mutex> lock(mutex_);
  states_.erase(name);
}

Status Session::FindState(const std::string& name, int64_t bytes, StoredTensor* out) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = states_.find(name);
  if (found == states_.end()) return Status(Code::kNotReady, "[session] there is no state \"" + name + "\"");
  if (found->second.type.bytes() != bytes) {
    return Status(Code::kShapeMismatch, "[session] state \"" + name + "\" " + ToText(found->second.type) +
                                            " has " + std::to_string(found->second.type.bytes()) +
                                            " bytes, not " + std::to_string(bytes));
  }
  *out = found->second;
  return {};
}

void Session::CopyBytes(const std::byte* from, int64_t bytes, std::byte* to) {
  struct Job {
    const std::byte* from;
    std::byte* to;
    int64_t bytes;
  } job = {from, to, bytes};
  const auto copy = [](void* context, int64_t task, int) {
    const Job& mine = *static_cast<const Job*>(context);
    const int64_t begin = task * kCopyBytes, count = std::min(kCopyBytes, mine.bytes - begin);
    std::memcpy(mine.to + begin, mine.from + begin, static_cast<size_t>(count));
  };
  pool_.Run((bytes + kCopyBytes - 1) / kCopyBytes, copy, &job);
}

int64_t Session::MemoryBytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t bytes = 0;
  for (const auto& [key, weight] : weights_) bytes += weight.bytes;
  for (const auto& [name, state] : states_) bytes += state.bytes;
  return bytes;
}

Status Session::Scratch(int64_t bytes, std::byte** out) {
  if (scratch_ == nullptr || scratch_->bytes() < bytes) {
    scratch_.reset();
    EMU_RETURN_IF_ERROR(Buffer::Allocate(bytes, &scratch_));
  }
  *out = scratch_->data();
  return {};
}

Status Session::Compile(std::string_view text, std::shared_ptr<Session> self,
                        std::shared_ptr<Executable>* out) {
  Program program;
  EMU_RETURN_IF_ERROR(ParseProgram(text, &program));
  std::vector<StoredTensor> tensors(program.values.size());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto bind = [&](const Binding& binding, const StoredTensor* stored, const char* what) -> Status {
      if (stored == nullptr) {
        return Status(Code::kNotReady,
                      "[" + program.name + "] " + what + " \"" + binding.name + "\" is not in the session");
      }
      if (!(stored->type == program.values[binding.value])) {
        return Status(Code::kShapeMismatch, "[" + program.name + "] " + what + " \"" + binding.name +
                                                "\" is " + ToText(stored->type) + ", the program needs " +
                                                ToText(program.values[binding.value]));
      }
      tensors[binding.value] = *stored;
      return {};
    };
    for (const Binding& weight : program.weights) {
      EMU_RETURN_IF_ERROR(bind(weight, FindWeight(weight.name, weight.layout), "weight"));
    }
    for (const Binding& state : program.states) {
      const auto found = states_.find(state.name);
      EMU_RETURN_IF_ERROR(bind(state, found == states_.end() ? nullptr : &found->second, "state"));
    }
  }
  return Executable::Plan(std::move(self), std::move(program), std::move(tensors), out);
}

}  // namespace emu
