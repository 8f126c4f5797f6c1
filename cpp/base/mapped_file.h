// A file seen as read-only memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace emu {

class MappedFile {
 public:
  // MODEL_NOT_READY when the file cannot be opened; CHECKPOINT_CORRUPT when it is no regular file.
  static Status Open(const std::string& path, std::shared_ptr<MappedFile>* out);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  // Lets the system take back the pages of a range that has been copied, so that loading never holds a model
  // twice.
  void Release(int64_t offset, int64_t bytes) const;

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace emu
