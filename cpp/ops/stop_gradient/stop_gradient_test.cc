#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(IsTheMemoryOfItsInput) {
  const auto x = test::ValuesBf16({3}, {1, 2, 3});
  const auto result = RunCall("stopGradient", {&x}, {x.type}, {});
  EXPECT_TRUE(result.outputs[0] == x);
  EXPECT_TRUE(RunCall("stopGradient", {&x}, {test::F32Type({3})}, {}).status.code() == Code::kShapeMismatch);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
