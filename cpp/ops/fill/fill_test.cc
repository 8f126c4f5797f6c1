#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

EMU_TEST(FillsEveryElement) {
  for (int64_t count : {0, 1, 17, 100003}) {
    const auto result =
        RunCall("fill", {}, {test::F32Type({count})},
                {{"shape", std::vector<double>{static_cast<double>(count)}}, {"value", -0.5}});
    EXPECT_TRUE(result.outputs[0].Floats() == std::vector<float>(static_cast<size_t>(count), -0.5f));
  }
}

EMU_TEST(RefusesHugeShapesAndValues) {
  const std::vector<double> huge = {1e9, 1e9};
  EXPECT_TRUE(RunCall("fill", {}, {test::F32Type({1})}, {{"shape", huge}, {"value", 0.0}}).status.code() ==
              Code::kInvalidOption);
  EXPECT_TRUE(RunCall("fill", {}, {test::F32Type({1})}, {{"shape", std::vector<double>{1}}, {"value", 1e39}})
                  .status.code() == Code::kInvalidOption);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
