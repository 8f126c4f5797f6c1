// A block of memory for weights, states or scratch: 64-byte aligned, zeroed, on 2-MiB pages when it is large.
// Memory-bound kernels read huge pages about 1.5 times as fast as 4-KiB ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.h"

namespace emu {

class Buffer {
 public:
  // OUT_OF_MEMORY when the system refuses.
  static Status Allocate(int64_t bytes, std::shared_ptr<Buffer>* out);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Buffer() = default;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  void* mapping_ = nullptr;  // null when data_ came from the heap
  size_t mapping_bytes_ = 0;
};

}  // namespace emu
