#include "runtime/op_table.h"

namespace emu {

#define EMU_OP(name, planner) Status planner(const CallTypes& call, CallPlan* plan);
#define EMU_ALIAS_OP(name, planner) EMU_OP(name, planner)
#define EMU_REUSING_OP(name, planner) EMU_OP(name, planner)
#define EMU_STATE_OP(name, planner, ...) EMU_OP(name, planner)
#include "ops/table.inc"
#undef EMU_OP
#undef EMU_ALIAS_OP
#undef EMU_REUSING_OP
#undef EMU_STATE_OP

const std::vector<OpImplementation>& AllOps() {
  static const std::vector<OpImplementation> ops = {
#define EMU_OP(name, planner) {#name, planner, Memory::kOwn, {}},
#define EMU_ALIAS_OP(name, planner) {#name, planner, Memory::kOfInput, {}},
#define EMU_REUSING_OP(name, planner) {#name, planner, Memory::kLeftByInput, {}},
#define EMU_STATE_OP(name, planner, ...) {#name, planner, Memory::kOfInput, {__VA_ARGS__}},
#include "ops/table.inc"
#undef EMU_OP
#undef EMU_ALIAS_OP
#undef EMU_REUSING_OP
#undef EMU_STATE_OP
  };
  return ops;
}

const OpImplementation* FindOp(const std::string& name) {
  for (const OpImplementation& op : AllOps()) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

}  // namespace emu
