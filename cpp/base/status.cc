#include "base/status.h"

namespace emu {

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "OK";
    case Code::kInvalidOption:
      return "INVALID_OPTION";
    case Code::kShapeMismatch:
      return "TENSOR_SHAPE_MISMATCH";
    case Code::kCheckpointCorrupt:
      return "CHECKPOINT_CORRUPT";
    case Code::kNotReady:
      return "MODEL_NOT_READY";
    case Code::kDisposed:
      return "MODEL_DISPOSED";
    case Code::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case Code::kNonFinite:
      return "NON_FINITE";
    case Code::kCancelled:
      return "CANCELLED";
    case Code::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

}  // namespace emu
