#include "base/gemm/precision.h"

#include "base/call_checks.h"

namespace emu {

Status ReadPrecision(const CallTypes& call, DType* out) {
  std::string text;
  EMU_RETURN_IF_ERROR(call.attributes.Text("precision", &text));
  if (text != "f32" && text != "bf16") {
    return RefuseOption(call, "precision", '"' + text + '"', "one of f32, bf16");
  }
  *out = text == "bf16" ? DType::kBf16 : DType::kF32;
  return {};
}

}  // namespace emu
