#include "runtime/program_text.h"

#include <fstream>
#include <set>
#include <sstream>

#include "base/test.h"
#include "runtime/op_table.h"

namespace emu {
namespace {

std::string ReadSeed(const std::string& name) {
  const std::string here = __FILE__;
  std::ifstream file(here.substr(0, here.rfind("cpp/runtime/")) + "testdata/programs/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Refusal(const std::string& text) {
  Program program;
  const Status status = ParseProgram(text, &program);
  EXPECT_TRUE(status.ok() || status.code() == Code::kInvalidOption);
  return status.message();
}

Status PlanCall(const Program& program, const ProgramCall& call) {
  const OpImplementation* op = FindOp(call.op);
  if (op == nullptr) return Status(Code::kInternal, "no op " + call.op);
  CallTypes types = {call.op, {}, {}, {}, call.attributes, DetectIsa(), 2};
  for (int input : call.inputs) {
    types.inputs.push_back(input < 0 ? nullptr : &program.values[static_cast<size_t>(input)]);
    types.layouts.push_back(Layout::kPlain);
  }
  for (int output : call.outputs) types.outputs.push_back(program.values[static_cast<size_t>(output)]);
  CallPlan plan;
  return op->plan(types, &plan);
}

EMU_TEST(ASeedHoldsEveryOpOnceAndAllSeedsPlan) {
  std::set<std::string> used;
  for (const char* name :
       {"every-op.txt", "training-ops.txt", "empty.txt", "empty-sides.txt", "large-sides.txt"}) {
    Program program;
    EXPECT_EQ(ParseProgram(ReadSeed(name), &program).message(), "");
    for (const ProgramCall& call : program.calls) {
      const Status status = PlanCall(program, call);
      test::Expect(status.ok(), name, static_cast<int>(&call - program.calls.data()), status.message());
      used.insert(call.op);
    }
  }
  for (const OpImplementation& op : AllOps())
    test::Expect(used.count(op.name) == 1, __FILE__, __LINE__, op.name);
}

EMU_TEST(RefusalsNameLineAndWhatWasNeeded) {
  const std::string head = "emu-program 1 \"p\"\n";
  EXPECT_EQ(Refusal(""), "[program] line 1: needed \"emu-program 1 \", came \"\"");
  EXPECT_EQ(Refusal(head + "inputs\n"),
            "[program] line 2: needed input, weight, state, call or output, came \"inputs\"");
  EXPECT_EQ(Refusal(head + "input %0 f32[2] \"x\"\noutput %1 \"y\"\n"),
            "[program] line 3: needed a value made before; %1 is not, came \" \"y\"\"");
  EXPECT_EQ(Refusal(head + "input %0 f31[2] \"x\"\n"),
            "[program] line 2: needed a dtype, came \"f31[2] \"x\"\"");
  EXPECT_EQ(Refusal(head + "input %0 f32[1,1,1,1,1,1,1,1,1] \"x\"\n"),
            "[program] line 2: needed at most 8 sides, came \"1] \"x\"\"");
  EXPECT_EQ(Refusal(head + "input %0 f32[70368744177664] \"x\"\n"),
            "[program] line 2: needed a tensor below 2^46 bytes, came \"] \"x\"\"");
  EXPECT_EQ(Refusal(head + "input %0 f32[-1] \"x\"\n"),
            "[program] line 2: needed an integer in 0..70368744177664, came \"-1] \"x\"\"");
  EXPECT_EQ(Refusal(head + "input %1 f32[] \"x\"\n"),
            "[program] line 3: needed every value to be made; %0 is not, came \"\"");
  EXPECT_EQ(Refusal(head + "input %0 f32[] \"x\"\ncall cast(%0) {dtype=\"f32\", dtype=1} -> %1 f32[]\n"),
            "[program] line 3: needed attribute dtype once, came \"} -> %1 f32[]\"");
}

// A text cut anywhere is refused or is a shorter program; it is never read beyond its end.
EMU_TEST(ATextCutAnywhereIsRefusedOrShorter) {
  const std::string text = ReadSeed("every-op.txt");
  EXPECT_TRUE(text.size() > 1000);
  for (size_t size = 0; size < text.size(); ++size) {
    const std::vector<char> exact(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    Program program;
    const Status status = ParseProgram({exact.data(), exact.size()}, &program);
    EXPECT_TRUE(status.ok() == (size > 0 && text[size - 1] == '\n'));
  }
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
