#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

void ExpectSliced(const test::Tensor& x, int axis, int64_t start, int64_t length) {
  TensorType type = x.type;
  type.shape.sides[axis] = length;
  const auto result = RunCall("slice", {&x}, {type},
                              {{"axis", static_cast<double>(axis)},
                               {"start", static_cast<double>(start)},
                               {"length", static_cast<double>(length)}},
                              {.threads = 3});
  EXPECT_TRUE(result.status.ok());
  const int64_t inner = type.shape.product(axis + 1, type.shape.rank);
  for (int64_t i = 0; i < type.shape.elements(); ++i) {
    const int64_t outer = i / (inner * length), at = i / inner % length;
    EXPECT_EQ(result.outputs[0].f32()[i],
              x.f32()[(outer * x.type.shape[axis] + start + at) * inner + i % inner]);
  }
}

EMU_TEST(KeepsARangeOfAnyAxis) {
  test::Random random(1);
  const auto x = test::RandomValues({4, 5, 6}, random), long_rows = test::RandomValues({7, 30011}, random);
  ExpectSliced(x, 0, 1, 2);
  ExpectSliced(x, 1, 4, 1);
  ExpectSliced(x, 2, 0, 6);
  ExpectSliced(x, 2, 3, 2);
  ExpectSliced(x, 1, 5, 0);
  ExpectSliced(long_rows, 1, 11, 30000);
}

EMU_TEST(RefusesWhatIsNotThere) {
  test::Random random(1);
  const auto x = test::RandomValues({4, 5}, random), scalar = test::Values({}, {1});
  const auto message = [](const test::Tensor& tensor, double axis, double start, double length) {
    return RunCall("slice", {&tensor}, {F32Type({4, 2})},
                   {{"axis", axis}, {"start", start}, {"length", length}})
        .status.message();
  };
  EXPECT_EQ(message(x, 1, 4, 2), "[slice] length 2 is not at most 1, axis 1 has 5 from 4");
  EXPECT_EQ(message(x, 1, 9e15, 9e15),
            "[slice] length 9000000000000000 is not at most -8999999999999995, axis 1 has 5 from "
            "9000000000000000");
  EXPECT_EQ(message(x, 2, 0, 1), "[slice] axis 2 is not an axis of [4,5]");
  EXPECT_EQ(message(scalar, 0, 0, 1), "[slice] axis 0 is not an axis of []");
  EXPECT_EQ(message(x, 1, -1, 2), "[slice] start -1 is not an integer of at least 0");
  EXPECT_EQ(message(x, 1, 0.5, 2), "[program] attribute start is not an integer");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
