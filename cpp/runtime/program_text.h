// Programs as text: the form that packages/program/src/print.ts writes is the form that runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/op.h"

namespace emu {

struct Binding {
  std::string name;
  int value;
  Layout layout = Layout::kPlain;  // weights only
};

struct ProgramCall {
  std::string op;
  std::vector<int> inputs;  // -1 where an optional input is absent
  Attributes attributes;
  std::vector<int> outputs;
};

struct Program {
  std::string name;
  std::vector<TensorType> values;
  std::vector<Binding> inputs;
  std::vector<Binding> weights;
  std::vector<Binding> states;
  std::vector<ProgramCall> calls;
  std::vector<Binding> outputs;
};

// INVALID_OPTION naming line and column on any text that is not a program: every value is made exactly once,
// before it is used, with at most 8 sides and less than 2^46 bytes.
Status ParseProgram(std::string_view text, Program* program);

}  // namespace emu
