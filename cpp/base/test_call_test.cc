#include "base/test_call.h"

namespace emu {
namespace {

EMU_TEST(RunsAnOpThroughItsPlannerAndSaysWhenTheTypesAreWrong) {
  test::Random random(1);
  const test::Tensor x = test::RandomValues({300, 64}, random), weight = test::RandomValues({64}, random);
  const auto result = test::RunCall("rmsNorm", {&x, &weight}, {x.type}, {{"epsilon", 1e-6}});
  EXPECT_TRUE(result.status.ok());
  const auto other =
      test::RunCall("rmsNorm", {&x, &weight}, {x.type}, {{"epsilon", 1e-6}}, {.threads = 7, .order = 9});
  EXPECT_TRUE(result.outputs[0] == other.outputs[0]);
  for (float value : result.outputs[0].Floats()) EXPECT_TRUE(std::isfinite(value));

  const auto refused = test::RunCall("rmsNorm", {&x, &x}, {x.type}, {{"epsilon", 1e-6}});
  EXPECT_TRUE(refused.status.code() == Code::kShapeMismatch && refused.outputs.empty());
  EXPECT_EQ(test::RunCall("noSuchOp", {&x}, {x.type}, {}).status.message(), "no op named noSuchOp");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
