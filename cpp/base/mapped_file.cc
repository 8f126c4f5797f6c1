#include "base/mapped_file.h"

#include <cerrno>
#include <cstring>

#if defined(__linux__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace emu {

Status MappedFile::Open(const std::string& path, std::shared_ptr<MappedFile>* out) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return Status(Code::kNotReady, "[weights] " + path + " cannot be opened: " + std::strerror(errno));
  }
  struct stat information;
  if (fstat(descriptor, &information) != 0 || !S_ISREG(information.st_mode)) {
    close(descriptor);
    return Status(Code::kCheckpointCorrupt, "[weights] " + path + " is not a regular file");
  }
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->bytes_ = information.st_size;
  if (file->bytes_ > 0) {
    void* mapping = mmap(nullptr, static_cast<size_t>(file->bytes_), PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping == MAP_FAILED) {
      close(descriptor);
      return Status(Code::kOutOfMemory, "[weights] " + path + " cannot be mapped: " + std::strerror(errno));
    }
    file->data_ = static_cast<const std::byte*>(mapping);
  }
  close(descriptor);
  *out = std::move(file);
  return {};
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), static_cast<size_t>(bytes_));
}

void MappedFile::Release(int64_t offset, int64_t bytes) const {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t begin = (offset + page - 1) / page * page;
  const int64_t end = (offset + bytes) / page * page;
  if (end > begin) {
    (void)madvise(const_cast<std::byte*>(data_) + begin, static_cast<size_t>(end - begin), MADV_DONTNEED);
  }
}

}  // namespace emu
#else
#include <cstdio>
#include <vector>

namespace emu {

// Without memory mapping the file is read.
Status MappedFile::Open(const std::string& path, std::shared_ptr<MappedFile>* out) {
  std::FILE* stream = std::fopen(path.c_str(), "rb");
  if (stream == nullptr) {
    return Status(Code::kNotReady, "[weights] " + path + " cannot be opened: " + std::strerror(errno));
  }
  std::fseek(stream, 0, SEEK_END);
  const long bytes = std::ftell(stream);
  std::rewind(stream);
  std::shared_ptr<MappedFile> file(new MappedFile());
  auto* data = new (std::nothrow) std::byte[static_cast<size_t>(bytes < 0 ? 0 : bytes)];
  const bool whole =
      data != nullptr && bytes >= 0 && std::fread(data, 1, bytes, stream) == static_cast<size_t>(bytes);
  std::fclose(stream);
  file->data_ = data;
  file->bytes_ = bytes;
  if (!whole) return Status(Code::kCheckpointCorrupt, "[weights] " + path + " cannot be read whole");
  *out = std::move(file);
  return {};
}

MappedFile::~MappedFile() { delete[] data_; }

void MappedFile::Release(int64_t, int64_t) const {}

}  // namespace emu
#endif
