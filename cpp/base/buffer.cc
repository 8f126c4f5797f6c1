#include "base/buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#define EMU_HAS_MMAP 1
#else
#define EMU_HAS_MMAP 0
#endif

namespace emu {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr size_t kAlignment = 64;
constexpr int64_t kMostBytes = int64_t{1} << 46;

Status OutOfMemory(int64_t bytes) {
  return Status(Code::kOutOfMemory, "[memory] " + std::to_string(bytes) + " bytes could not be allocated");
}

}  // namespace

Status Buffer::Allocate(int64_t bytes, std::shared_ptr<Buffer>* out) {
  if (bytes < 0 || bytes > kMostBytes) return OutOfMemory(bytes);
  std::shared_ptr<Buffer> buffer(new (std::nothrow) Buffer());
  if (buffer == nullptr) return OutOfMemory(bytes);
  buffer->bytes_ = bytes;
#if EMU_HAS_MMAP
  if (bytes >= kHugePage) {
    const size_t length = static_cast<size_t>(bytes + kHugePage);
    void* mapping = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) return OutOfMemory(bytes);
    const uintptr_t start = reinterpret_cast<uintptr_t>(mapping);
    const uintptr_t aligned = (start + kHugePage - 1) & ~static_cast<uintptr_t>(kHugePage - 1);
    buffer->mapping_ = mapping;
    buffer->mapping_bytes_ = length;
    buffer->data_ = reinterpret_cast<std::byte*>(aligned);
#ifdef MADV_HUGEPAGE
    // A hint: where huge pages are off the memory is merely slower.
    (void)madvise(buffer->data_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
    *out = std::move(buffer);
    return {};
  }
#endif
  const size_t padded = (static_cast<size_t>(bytes) + kAlignment) & ~(kAlignment - 1);
  buffer->data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, padded));
  if (buffer->data_ == nullptr) return OutOfMemory(bytes);
  std::memset(buffer->data_, 0, padded);
  *out = std::move(buffer);
  return {};
}

Buffer::~Buffer() {
#if EMU_HAS_MMAP
  if (mapping_ != nullptr) {
    munmap(mapping_, mapping_bytes_);
    return;
  }
#endif
  std::free(data_);
}

}  // namespace emu
