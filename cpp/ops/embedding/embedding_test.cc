#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

EMU_TEST(CopiesTheRowsOfTheIds) {
  for (int64_t width : {1, 3, 16, 33, 1000}) {
    test::Random random(width);
    const auto table = test::RandomValues({50, width}, random);
    const auto rounded = test::ValuesBf16({50, width}, table.Floats());
    const std::vector<int32_t> ids = {49, 0, 7, 7, 31, 1};
    const auto id = test::Indices({2, 3}, ids);
    const auto exact = RunCall("embedding", {&table, &id}, {F32Type({2, 3, width})}, {});
    const auto widened = RunCall("embedding", {&rounded, &id}, {F32Type({2, 3, width})}, {});
    for (size_t n = 0; n < ids.size(); ++n) {
      for (int64_t d = 0; d < width; ++d) {
        const int64_t from = ids[n] * width + d, to = static_cast<int64_t>(n) * width + d;
        EXPECT_EQ(exact.outputs[0].f32()[to], table.f32()[from]);
        EXPECT_EQ(widened.outputs[0].f32()[to], ToFloat(rounded.bf16()[from]));
      }
    }
  }
}

EMU_TEST(RefusesAnIdBeyondTheTableNamingItsRow) {
  test::Random random(1);
  const auto table = test::RandomValues({5, 4}, random);
  const auto high = test::Indices({3}, {4, 0, 5}), low = test::Indices({1}, {-1});
  EXPECT_EQ(RunCall("embedding", {&table, &high}, {F32Type({3, 4})}, {}).status.message(),
            "[embedding] id 5 at row 2 is not in 0..4");
  EXPECT_EQ(RunCall("embedding", {&table, &low}, {F32Type({1, 4})}, {}).status.message(),
            "[embedding] id -1 at row 0 is not in 0..4");
}

EMU_TEST(RefusesOtherTypesAndTooManyAxes) {
  test::Random random(1);
  const auto table = test::RandomValues({5, 4}, random);
  const auto ids = test::Indices({1, 1, 1, 1, 1, 1, 1, 1}, {0});
  EXPECT_EQ(RunCall("embedding", {&table, &table}, {F32Type({3, 4})}, {}).status.message(),
            "[embedding] ids is f32, needs i32: got f32[5,4], f32[5,4]");
  EXPECT_EQ(RunCall("embedding", {&ids, &ids}, {F32Type({3, 4})}, {}).status.message(),
            "[embedding] table is i32, needs f32 or bf16: got i32[1,1,1,1,1,1,1,1], i32[1,1,1,1,1,1,1,1]");
  EXPECT_EQ(RunCall("embedding", {&table, &ids}, {F32Type({3, 4})}, {}).status.message(),
            "[embedding] ids have 8 axes, at most 7 fit: got f32[5,4], i32[1,1,1,1,1,1,1,1]");
  const auto one = test::Indices({1}, {0});
  EXPECT_EQ(RunCall("embedding", {&table, &one}, {F32Type({2, 4})}, {}).status.message(),
            "[embedding] makes f32[1,4], the program declares f32[2,4]: got f32[5,4], i32[1]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
