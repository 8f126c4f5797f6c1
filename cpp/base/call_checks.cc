#include "base/call_checks.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace emu {
namespace {

constexpr int64_t kTaskFloats = 16384;

// "name? f32|bf16[A,...,B]" taken apart.
struct Signature {
  std::string_view name;
  bool optional = false;
  std::string_view dtypes;
  int before = 0;  // letters before `...`
  int after = 0;
  bool has_rest = false;
  char letters[kMaxRank] = {};

  explicit Signature(std::string_view text) {
    const size_t space = text.find(' '), open = text.find('[');
    name = text.substr(0, space);
    optional = name.back() == '?';
    if (optional) name.remove_suffix(1);
    dtypes = text.substr(space + 1, open - space - 1);
    axes = text.substr(open, text.size() - open);
    for (size_t at = open; at < text.size(); ++at) {
      if (text[at] == '.') has_rest = true;
      if (text[at] < 'A' || text[at] > 'Z') continue;
      letters[before + after] = text[at];
      ++(has_rest ? after : before);
    }
  }

  bool Accepts(DType dtype) const {
    const std::string own = ToText(TensorType{{}, dtype});
    const std::string_view wanted = std::string_view(own).substr(0, own.size() - 2);  // without "[]"
    for (size_t at = 0; at <= dtypes.size();) {
      const size_t end = std::min(dtypes.find('|', at), dtypes.size());
      if (dtypes.substr(at, end - at) == wanted) return true;
      at = end + 1;
    }
    return false;
  }

  std::string_view axes;  // with the brackets
};

// Binds one input after another and remembers which input gave a letter its side.
class Binder {
 public:
  Binder(const CallTypes& call, BoundSides* sides) : call_(call), sides_(sides) {}

  Status Bind(const Signature& signature, const TensorType& type) {
    const std::string name(signature.name);
    if (!signature.Accepts(type.dtype)) {
      std::string needed(signature.dtypes);
      if (const size_t bar = needed.find('|'); bar != std::string::npos) needed.replace(bar, 1, " or ");
      const std::string own = ToText(TensorType{{}, type.dtype});
      return call_.Refuse(name + " is " + own.substr(0, own.size() - 2) + ", needs " + needed);
    }
    const Shape& shape = type.shape;
    const int named = signature.before + signature.after;
    if (signature.has_rest ? shape.rank < named : shape.rank != named) {
      return call_.Refuse(name + " has " + std::to_string(shape.rank) + " axes, needs " +
                          std::string(signature.axes));
    }
    for (int i = 0; i < named; ++i) {
      const int axis = i < signature.before ? i : shape.rank - named + i;
      EMU_RETURN_IF_ERROR(BindLetter(signature.letters[i], shape[axis], name));
    }
    return signature.has_rest ? BindRest(signature, shape, name) : Status();
  }

 private:
  Status BindLetter(char letter, int64_t side, const std::string& name) {
    std::string& giver = givers_[letter - 'A'];
    int64_t& known = sides_->letters[letter - 'A'];
    if (!giver.empty() && known != side) {
      return call_.Refuse(std::string(1, letter) + " is " + std::to_string(known) + " in " + giver + " but " +
                          std::to_string(side) + " in " + name);
    }
    if (giver.empty()) giver = name;
    known = side;
    return {};
  }

  Status BindRest(const Signature& signature, const Shape& shape, const std::string& name) {
    Shape rest;
    for (int axis = signature.before; axis < shape.rank - signature.after; ++axis) {
      rest.sides[rest.rank++] = shape[axis];
    }
    if (!rest_giver_.empty() && !(rest == sides_->rest)) {
      return call_.Refuse("axes " + ToText(sides_->rest) + " of " + rest_giver_ + " are not " + ToText(rest) +
                          " of " + name);
    }
    if (rest_giver_.empty()) rest_giver_ = name;
    sides_->rest = rest;
    return {};
  }

  const CallTypes& call_;
  BoundSides* sides_;
  std::string givers_[26];
  std::string rest_giver_;
};

std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.12g", value);
  return text;
}

}  // namespace

Status BindInputs(const CallTypes& call, std::initializer_list<const char*> signatures, BoundSides* sides,
                  size_t outputs) {
  if (call.inputs.size() != signatures.size()) {
    std::string usage;
    for (const char* text : signatures) {
      if (!usage.empty()) usage += ", ";
      usage += std::string_view(text).substr(0, std::string_view(text).find(' '));
    }
    return call.Refuse("takes " + std::to_string(signatures.size()) +
                       (signatures.size() == 1 ? " input (" : " inputs (") + usage + "), got " +
                       std::to_string(call.inputs.size()));
  }
  Binder binder(call, sides);
  size_t index = 0;
  for (const char* text : signatures) {
    const Signature signature{std::string_view(text)};
    if (const TensorType* type = call.inputs[index]; type != nullptr) {
      EMU_RETURN_IF_ERROR(binder.Bind(signature, *type));
    } else if (!signature.optional) {
      return call.Refuse("input " + std::to_string(index) + " (" + std::string(signature.name) +
                         ") is missing");
    }
    ++index;
  }
  return call.CheckArity(0, signatures.size(), outputs);
}

Shape WithLast(Shape front, int64_t last) {
  front.sides[front.rank++] = last;
  return front;
}

Shape WithSide(Shape shape, int axis, int64_t side) {
  shape.sides[axis] = side;
  return shape;
}

Status RefuseOption(const CallTypes& call, const char* name, const std::string& value,
                    const std::string& needed) {
  return Status(Code::kInvalidOption, "[" + call.op + "] " + name + " " + value + " is not " + needed);
}

Status ReadInteger(const CallTypes& call, const char* name, int64_t least, int64_t* out) {
  EMU_RETURN_IF_ERROR(call.attributes.Integer(name, out));
  if (*out >= least) return {};
  return RefuseOption(call, name, std::to_string(*out), "an integer of at least " + std::to_string(least));
}

Status ReadShape(const CallTypes& call, Shape* out) {
  std::vector<int64_t> sides;
  EMU_RETURN_IF_ERROR(call.attributes.Integers("shape", &sides));
  if (sides.size() > kMaxRank) {
    return RefuseOption(call, "shape", "of " + std::to_string(sides.size()) + " sides", "at most 8 sides");
  }
  *out = Shape();
  int64_t elements = 1;
  bool overflows = false;
  for (int64_t side : sides) {
    if (side < 0) return RefuseOption(call, "shape", "side " + std::to_string(side), "0 or more");
    out->sides[out->rank++] = side;
    overflows |= __builtin_mul_overflow(elements, side, &elements);
  }
  if (!overflows && elements < int64_t{1} << 46) return {};
  return RefuseOption(call, "shape", ToText(*out), "of fewer than 2^46 elements");
}

Status ReadEpsilon(const CallTypes& call, float* out) {
  double epsilon = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("epsilon", &epsilon));
  // Beyond the largest float the conversion would be undefined, and every result 0.
  if (!(epsilon >= 0 && epsilon <= 3e38)) {
    return RefuseOption(call, "epsilon", NumberText(epsilon), "a number of at least 0");
  }
  *out = static_cast<float>(epsilon);
  return {};
}

Status ReadAxis(const CallTypes& call, const Shape& shape, int* out) {
  int64_t axis = 0;
  EMU_RETURN_IF_ERROR(ReadInteger(call, "axis", 0, &axis));
  if (axis >= shape.rank) {
    return RefuseOption(call, "axis", std::to_string(axis), "an axis of " + ToText(shape));
  }
  *out = static_cast<int>(axis);
  return {};
}

Status CheckIndices(const char* op, const char* what, const int32_t* values, int64_t rows, int64_t least,
                    int64_t count) {
  for (int64_t row = 0; row < rows; ++row) {
    if (values[row] >= least && values[row] < count) continue;
    return Status(Code::kInvalidOption, std::string("[") + op + "] " + what + " " +
                                            std::to_string(values[row]) + " at row " + std::to_string(row) +
                                            " is not in " + std::to_string(least) + ".." +
                                            std::to_string(count - 1));
  }
  return {};
}

std::string ToText(const Shape& shape) {
  std::string text = "[";
  for (int axis = 0; axis < shape.rank; ++axis) {
    if (axis > 0) text += ',';
    text += std::to_string(shape[axis]);
  }
  return text + ']';
}

RowSplit SplitFloats(int64_t rows, int64_t width, int threads) {
  if (width == 0) return {1, 0};
  return SplitRows(rows, 1 + (kTaskFloats - 1) / width, threads);
}

}  // namespace emu
