#include "runtime/program_text.h"

#include <charconv>

namespace emu {
namespace {

constexpr size_t kMostValues = 1 << 20;
constexpr size_t kMostTextBytes = size_t{64} << 20;
constexpr int64_t kMostBytes = int64_t{1} << 46;

class Parser {
 public:
  Parser(std::string_view text, Program* program) : rest_(text), program_(program) {}

  Status Parse() {
    if (rest_.size() > kMostTextBytes) return Refuse("a program of at most 64 MiB");
    EMU_RETURN_IF_ERROR(Header());
    while (!rest_.empty()) EMU_RETURN_IF_ERROR(Line());
    for (size_t id = 0; id < made_.size(); ++id) {
      if (!made_[id]) return Refuse("every value to be made; %" + std::to_string(id) + " is not");
    }
    return {};
  }

 private:
  Status Refuse(const std::string& needed) const {
    std::string came(rest_.substr(0, 24));
    if (const size_t end = came.find('\n'); end != std::string::npos) came.resize(end);
    return Status(Code::kInvalidOption, "[program] line " + std::to_string(line_) + ": needed " + needed +
                                            ", came \"" + came + "\"");
  }

  bool Take(std::string_view word) {
    if (rest_.substr(0, word.size()) != word) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  Status Expect(std::string_view word) {
    return Take(word) ? Status() : Refuse(std::string("\"").append(word).append("\""));
  }

  Status EndLine() {
    if (!Take("\n")) return Refuse("the end of the line");
    ++line_;
    return {};
  }

  Status Header() {
    EMU_RETURN_IF_ERROR(Expect("emu-program 1 "));
    EMU_RETURN_IF_ERROR(Quoted(&program_->name));
    return EndLine();
  }

  Status Line() {
    if (Take("input ")) return Declaration(&program_->inputs, false);
    if (Take("weight ")) return Declaration(&program_->weights, true);
    if (Take("state ")) return Declaration(&program_->states, false);
    if (Take("call ")) return Call();
    if (Take("output ")) return Output();
    return Refuse("input, weight, state, call or output");
  }

  Status Declaration(std::vector<Binding>* bindings, bool has_layout) {
    Binding binding;
    EMU_RETURN_IF_ERROR(NewValue(&binding.value));
    EMU_RETURN_IF_ERROR(Expect(" "));
    if (has_layout) {
      if (Take("plain ")) {
        binding.layout = Layout::kPlain;
      } else if (Take("linear ")) {
        binding.layout = Layout::kLinear;
      } else if (Take("convolution ")) {
        binding.layout = Layout::kConvolution;
      } else {
        return Refuse("plain, linear or convolution");
      }
    }
    EMU_RETURN_IF_ERROR(Quoted(&binding.name));
    bindings->push_back(std::move(binding));
    return EndLine();
  }

  Status Output() {
    Binding binding;
    EMU_RETURN_IF_ERROR(MadeValue(&binding.value));
    EMU_RETURN_IF_ERROR(Expect(" "));
    EMU_RETURN_IF_ERROR(Quoted(&binding.name));
    program_->outputs.push_back(std::move(binding));
    return EndLine();
  }

  Status Call() {
    ProgramCall call;
    EMU_RETURN_IF_ERROR(Name(&call.op));
    EMU_RETURN_IF_ERROR(Expect("("));
    EMU_RETURN_IF_ERROR(List(")", [&] {
      if (Take("_")) {
        call.inputs.push_back(-1);
        return Status();
      }
      call.inputs.push_back(0);
      return MadeValue(&call.inputs.back());
    }));
    EMU_RETURN_IF_ERROR(Expect(" {"));
    EMU_RETURN_IF_ERROR(List("}", [&] { return Attribute(&call.attributes); }));
    EMU_RETURN_IF_ERROR(Expect(" -> "));
    do {
      call.outputs.push_back(0);
      EMU_RETURN_IF_ERROR(NewValue(&call.outputs.back()));
    } while (Take(", "));
    program_->calls.push_back(std::move(call));
    return EndLine();
  }

  // Items separated by ", " up to and with `close`.
  template <typename Item>
  Status List(std::string_view close, Item item) {
    if (Take(close)) return {};
    for (;;) {
      EMU_RETURN_IF_ERROR(item());
      if (Take(close)) return {};
      EMU_RETURN_IF_ERROR(Expect(", "));
    }
  }

  Status Attribute(Attributes* attributes) {
    std::string name;
    EMU_RETURN_IF_ERROR(Name(&name));
    EMU_RETURN_IF_ERROR(Expect("="));
    AttributeValue value;
    if (!rest_.empty() && rest_.front() == '"') {
      EMU_RETURN_IF_ERROR(Quoted(&value.emplace<std::string>()));
    } else if (Take("[")) {
      EMU_RETURN_IF_ERROR(Numbers(&value.emplace<std::vector<double>>()));
    } else {
      EMU_RETURN_IF_ERROR(Number(&value.emplace<double>()));
    }
    if (!attributes->values.emplace(name, std::move(value)).second)
      return Refuse("attribute " + name + " once");
    return {};
  }

  Status Numbers(std::vector<double>* numbers) {
    if (Take("]")) return {};
    for (;;) {
      numbers->push_back(0);
      EMU_RETURN_IF_ERROR(Number(&numbers->back()));
      if (Take("]")) return {};
      EMU_RETURN_IF_ERROR(Expect(","));
    }
  }

  Status Number(double* out) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *out);
    if (error != std::errc()) return Refuse("a number");
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return {};
  }

  Status Integer(int64_t most, int64_t* out) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *out);
    if (error != std::errc() || *out < 0 || *out > most)
      return Refuse("an integer in 0.." + std::to_string(most));
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return {};
  }

  Status Name(std::string* out) {
    size_t length = 0;
    while (
        length < rest_.size() && length < 64 &&
        ((rest_[length] >= 'a' && rest_[length] <= 'z') || (rest_[length] >= 'A' && rest_[length] <= 'Z'))) {
      ++length;
    }
    if (length == 0) return Refuse("a name");
    out->assign(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return {};
  }

  Status Quoted(std::string* out) {
    EMU_RETURN_IF_ERROR(Expect("\""));
    const size_t end = rest_.find_first_of("\"\n");
    if (end == std::string_view::npos || rest_[end] != '"') return Refuse("a text that ends in a quote");
    out->assign(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return {};
  }

  Status ValueId(int* out) {
    int64_t id = 0;
    EMU_RETURN_IF_ERROR(Expect("%"));
    EMU_RETURN_IF_ERROR(Integer(kMostValues - 1, &id));
    *out = static_cast<int>(id);
    return {};
  }

  Status MadeValue(int* out) {
    EMU_RETURN_IF_ERROR(ValueId(out));
    if (static_cast<size_t>(*out) >= made_.size() || !made_[*out]) {
      return Refuse("a value made before; %" + std::to_string(*out) + " is not");
    }
    return {};
  }

  Status NewValue(int* out) {
    EMU_RETURN_IF_ERROR(ValueId(out));
    EMU_RETURN_IF_ERROR(Expect(" "));
    TensorType type;
    EMU_RETURN_IF_ERROR(Type(&type));
    const size_t id = static_cast<size_t>(*out);
    if (id < made_.size() && made_[id]) return Refuse("value %" + std::to_string(id) + " to be made once");
    if (id >= made_.size()) {
      made_.resize(id + 1);
      program_->values.resize(id + 1);
    }
    made_[id] = true;
    program_->values[id] = type;
    return {};
  }

  Status Type(TensorType* type) {
    static constexpr std::string_view kNames[] = {"f64", "f32", "f16", "bf16", "i64", "i32", "u8", "bool"};
    bool known = false;
    for (size_t i = 0; i < std::size(kNames) && !known; ++i) {
      known = Take(kNames[i]);
      if (known) type->dtype = static_cast<DType>(i);
    }
    if (!known) return Refuse("a dtype");
    EMU_RETURN_IF_ERROR(Expect("["));
    if (Take("]")) return {};
    int64_t bytes = BytesPerElement(type->dtype);
    for (;;) {
      if (type->shape.rank == kMaxRank) return Refuse("at most 8 sides");
      int64_t side = 0;
      EMU_RETURN_IF_ERROR(Integer(kMostBytes, &side));
      type->shape.sides[type->shape.rank++] = side;
      // The bound counts empty sides as 1, so that no product of sides overflows.
      if (__builtin_mul_overflow(bytes, side > 1 ? side : 1, &bytes) || bytes > kMostBytes) {
        return Refuse("a tensor below 2^46 bytes");
      }
      if (Take("]")) return {};
      EMU_RETURN_IF_ERROR(Expect(","));
    }
  }

  std::string_view rest_;
  Program* program_;
  std::vector<bool> made_;
  int line_ = 1;
};

}  // namespace

Status ParseProgram(std::string_view text, Program* program) { return Parser(text, program).Parse(); }

}  // namespace emu
