#include "base/op.h"

#include <algorithm>
#include <cmath>

namespace emu {
namespace {

Status MissingAttribute(const char* name, const char* needed) {
  return Status(Code::kInvalidOption, std::string("[program] attribute ") + name + " is not " + needed);
}

bool ToInteger(double value, int64_t* out) {
  if (!(std::abs(value) <= 9007199254740992.0) || std::floor(value) != value) return false;
  *out = static_cast<int64_t>(value);
  return true;
}

}  // namespace

Status Attributes::Number(const char* name, double* out) const {
  const auto found = values.find(name);
  const double* value = found == values.end() ? nullptr : std::get_if<double>(&found->second);
  if (value == nullptr || !std::isfinite(*value)) return MissingAttribute(name, "a finite number");
  *out = *value;
  return {};
}

Status Attributes::Integer(const char* name, int64_t* out) const {
  double value = 0;
  EMU_RETURN_IF_ERROR(Number(name, &value));
  return ToInteger(value, out) ? Status() : MissingAttribute(name, "an integer");
}

Status Attributes::Text(const char* name, std::string* out) const {
  const auto found = values.find(name);
  const std::string* value = found == values.end() ? nullptr : std::get_if<std::string>(&found->second);
  if (value == nullptr) return MissingAttribute(name, "a text");
  *out = *value;
  return {};
}

Status Attributes::Integers(const char* name, std::vector<int64_t>* out) const {
  const auto found = values.find(name);
  const auto* list = found == values.end() ? nullptr : std::get_if<std::vector<double>>(&found->second);
  if (list == nullptr) return MissingAttribute(name, "a list of integers");
  out->assign(list->size(), 0);
  for (size_t i = 0; i < list->size(); ++i) {
    if (!ToInteger((*list)[i], &(*out)[i])) return MissingAttribute(name, "a list of integers");
  }
  return {};
}

std::string ToText(const TensorType& type) {
  static constexpr const char* kNames[] = {"f64", "f32", "f16", "bf16", "i64", "i32", "u8", "bool"};
  std::string text = kNames[static_cast<int>(type.dtype)];
  text += '[';
  for (int axis = 0; axis < type.shape.rank; ++axis) {
    if (axis > 0) text += ',';
    text += std::to_string(type.shape[axis]);
  }
  return text + ']';
}

Status CallTypes::Refuse(const std::string& message) const {
  std::string text = "[" + op + "] " + message + ": got ";
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (i > 0) text += ", ";
    text += inputs[i] == nullptr ? "_" : ToText(*inputs[i]);
  }
  return Status(Code::kShapeMismatch, text);
}

Status CallTypes::CheckArity(size_t least, size_t most, size_t makes) const {
  if (inputs.size() > most) return Refuse("takes at most " + std::to_string(most) + " inputs");
  for (size_t i = 0; i < least; ++i) {
    if (!has(i)) return Refuse("input " + std::to_string(i) + " is missing");
  }
  if (outputs.size() == makes) return {};
  std::string text = makes == 1 ? "makes one output, not " : "makes ";
  if (makes != 1) text += std::to_string(makes) + " outputs, not ";
  return Refuse(text + std::to_string(outputs.size()));
}

Status CallTypes::CheckOutput(const TensorType& type, size_t output) const {
  if (outputs[output] == type) return {};
  return Refuse("makes " + ToText(type) + ", the program declares " + ToText(outputs[output]));
}

RowSplit SplitRows(int64_t rows, int64_t least_rows, int threads) {
  const int64_t even = (rows + 4 * threads - 1) / (4 * threads);
  const int64_t rows_per_task = std::max<int64_t>({even, least_rows, 1});
  return {rows_per_task, (rows + rows_per_task - 1) / rows_per_task};
}

}  // namespace emu
