// The result of anything that can fail. Kernels never fail: shapes are checked when a program is planned.
#pragma once

#include <string>
#include <utility>

namespace emu {

// Names follow the error table of packages/program/src/errors.ts.
enum class Code {
  kOk,
  kInvalidOption,
  kShapeMismatch,
  kCheckpointCorrupt,
  kNotReady,
  kDisposed,
  kOutOfMemory,
  kNonFinite,
  kCancelled,
  kInternal,
};

// "INVALID_OPTION" and so on, as the TypeScript side spells the code.
const char* CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

#define EMU_RETURN_IF_ERROR(expression)                                      \
  do {                                                                       \
    if (::emu::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

}  // namespace emu
