#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

// Element by element: which input and where.
float Element(const std::vector<const test::Tensor*>& inputs, int axis, const Shape& out, int64_t index) {
  const int64_t inner = out.product(axis + 1, out.rank);
  const int64_t outer = index / (inner * out[axis]), rest = index % inner;
  int64_t at = index / inner % out[axis];
  for (const test::Tensor* input : inputs) {
    const int64_t side = input->type.shape[axis];
    if (at < side) return input->f32()[(outer * side + at) * inner + rest];
    at -= side;
  }
  return NAN;
}

void ExpectJoined(const std::vector<const test::Tensor*>& inputs, int axis, const TensorType& type) {
  const auto result =
      RunCall("concat", inputs, {type}, {{"axis", static_cast<double>(axis)}}, {.threads = 3});
  EXPECT_TRUE(result.status.ok());
  for (int64_t i = 0; i < type.shape.elements(); ++i) {
    EXPECT_EQ(result.outputs[0].f32()[i], Element(inputs, axis, type.shape, i));
  }
}

EMU_TEST(JoinsAlongEveryAxis) {
  test::Random random(1);
  const auto a = test::RandomValues({2, 3, 5}, random), b = test::RandomValues({4, 3, 5}, random);
  ExpectJoined({&a, &b, &a}, 0, F32Type({8, 3, 5}));
  const auto c = test::RandomValues({2, 1, 5}, random), none = test::RandomValues({2, 0, 5}, random);
  ExpectJoined({&a, &none, &c}, 1, F32Type({2, 4, 5}));
  ExpectJoined({&none, &a, &none}, 1, F32Type({2, 3, 5}));
  const auto d = test::RandomValues({2, 3, 20011}, random);
  ExpectJoined({&d, &a, &d}, 2, F32Type({2, 3, 40027}));
  ExpectJoined({&a}, 2, a.type);
}

EMU_TEST(RefusesWhatDoesNotFit) {
  test::Random random(1);
  const auto a = test::RandomValues({2, 3}, random), b = test::RandomValues({3, 3}, random);
  const auto ids = test::Indices({2}, {0, 0});
  const auto message = [](const std::vector<const test::Tensor*>& inputs, double axis) {
    return RunCall("concat", inputs, {F32Type({2, 6})}, {{"axis", axis}}).status.message();
  };
  EXPECT_EQ(message({&a, &b}, 1),
            "[concat] input 1 [3,3] differs from [2,3] beyond axis 1: got f32[2,3], f32[3,3]");
  EXPECT_EQ(message({&a, &a}, 2), "[concat] axis 2 is not an axis of [2,3]");
  EXPECT_EQ(message({&a, &a}, -1), "[concat] axis -1 is not an integer of at least 0");
  EXPECT_EQ(message({}, 0), "[concat] needs at least 1 value, got 0: got ");
  EXPECT_EQ(message({&a, nullptr}, 0), "[concat] input 1 is missing: got f32[2,3], _");
  EXPECT_EQ(message({&a, &ids}, 0), "[concat] input 1 is not f32: got f32[2,3], i32[2]");
  EXPECT_EQ(message({&a, &a}, 0),
            "[concat] makes f32[4,3], the program declares f32[2,6]: got f32[2,3], f32[2,3]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
