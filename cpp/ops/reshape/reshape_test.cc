#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

std::string Message(const test::Tensor& x, const TensorType& type, std::vector<double> shape) {
  return RunCall("reshape", {&x}, {type}, {{"shape", std::move(shape)}}).status.message();
}

EMU_TEST(IsTheSameMemoryUnderAnotherShape) {
  test::Random random(1);
  const auto x = test::RandomValues({2, 3, 4}, random);
  const auto result =
      RunCall("reshape", {&x}, {test::F32Type({6, 4})}, {{"shape", std::vector<double>{6, 4}}});
  EXPECT_TRUE(result.status.ok());
  EXPECT_TRUE(result.outputs[0].bytes == x.bytes);
  const auto ids = test::Indices({4}, {1, 2, 3, 4});
  EXPECT_EQ(Message(ids, test::Type(DType::kI32, {2, 2}), {2, 2}), "");
}

EMU_TEST(RefusesAnotherCountAndSidesThatOverflow) {
  test::Random random(1);
  const auto x = test::RandomValues({2, 3}, random);
  EXPECT_EQ(Message(x, x.type, {7}), "[reshape] shape [7] has 7 elements, x has 6: got f32[2,3]");
  EXPECT_EQ(Message(x, x.type, {-1, 6}), "[reshape] shape side -1 is not 0 or more");
  EXPECT_EQ(
      Message(x, x.type, {4e15, 4e15}),
      "[reshape] shape [4000000000000000,4000000000000000] has over 2^63 elements, x has 6: got f32[2,3]");
  EXPECT_EQ(Message(x, x.type, {1, 1, 1, 1, 1, 1, 1, 2, 3}),
            "[reshape] shape of 9 sides is not at most 8 sides");
  EXPECT_EQ(Message(x, x.type, {6}), "[reshape] makes f32[6], the program declares f32[2,3]: got f32[2,3]");
  EXPECT_EQ(Message(x, x.type, {1.5, 4}), "[program] attribute shape is not a list of integers");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
