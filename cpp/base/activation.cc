#include "base/activation.h"

#include <cstring>

#include "base/op.h"

namespace emu {
namespace {

struct Name {
  const char* text;
  ActivationKind kind;
};

constexpr Name kNames[] = {{"none", ActivationKind::kNone},
                           {"gelu", ActivationKind::kGelu},
                           {"quickGelu", ActivationKind::kQuickGelu},
                           {"relu", ActivationKind::kRelu},
                           {"silu", ActivationKind::kSilu}};

}  // namespace

bool ActivationFromName(const char* name, ActivationKind* out) {
  for (const Name& candidate : kNames) {
    if (std::strcmp(name, candidate.text) == 0) {
      *out = candidate.kind;
      return true;
    }
  }
  return false;
}

Status ReadActivation(const CallTypes& call, ActivationKind* out) {
  std::string name;
  EMU_RETURN_IF_ERROR(call.attributes.Text("activation", &name));
  if (ActivationFromName(name.c_str(), out)) return {};
  return Status(Code::kInvalidOption,
                "[" + call.op + "] activation \"" + name + "\" is not none, gelu, quickGelu, relu or silu");
}

}  // namespace emu
