#include "base/attention_shape.h"

#include "base/call_checks.h"

namespace emu {

Status ReadAttentionShape(const CallTypes& call, const BoundSides& sides, AttentionShape* shape) {
  double scale = 0;
  int64_t causal = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("scale", &scale));
  EMU_RETURN_IF_ERROR(ReadInteger(call, "causal", 0, &causal));
  if (causal > 1) return RefuseOption(call, "causal", std::to_string(causal), "0 or 1");
  *shape = {sides['B'], sides['T'], sides['S'], sides['H'], sides['G'], sides['K'], static_cast<float>(scale),
            causal == 1};
  if (shape->key_heads != 0 && shape->heads % shape->key_heads == 0) return {};
  return call.Refuse(std::to_string(shape->heads) + " query heads are not a multiple of " +
                     std::to_string(shape->key_heads) + " key heads");
}

}  // namespace emu
