#include <cmath>

#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

// One element after the other in double precision.
std::vector<float> PlainSums(const test::Tensor& x, const Shape& out) {
  const Shape& from = x.type.shape;
  std::vector<double> sums(static_cast<size_t>(out.elements()), 0.0);
  for (int64_t i = 0; i < from.elements(); ++i) {
    int64_t rest = i, to = 0, stride = 1;
    for (int axis = 0; axis < from.rank; ++axis) {
      const int64_t index = rest % from.last(axis);
      rest /= from.last(axis);
      if (axis >= out.rank) continue;
      if (out.last(axis) != 1) to += index * stride;
      stride *= out.last(axis);
    }
    sums[static_cast<size_t>(to)] += x.f32()[i];
  }
  return std::vector<float>(sums.begin(), sums.end());
}

EMU_TEST(SumsOverRepeatedAxes) {
  struct Case {
    std::initializer_list<int64_t> from, to;
  };
  for (const Case& c :
       {Case{{}, {}}, Case{{7}, {}}, Case{{5, 17}, {17}}, Case{{5, 17}, {5, 1}}, Case{{0, 3}, {3}},
        Case{{3, 0}, {3, 1}}, Case{{3, 4, 5, 6}, {3, 1, 5, 1}}, Case{{3, 4, 5, 6}, {4, 1, 6}},
        Case{{1025, 33}, {33}}, Case{{65536}, {1}}, Case{{2, 600, 65}, {2, 1, 65}},
        Case{{2, 3, 40000}, {3, 1}}, Case{{1, 5, 1}, {5, 1}}}) {
    test::Random random(1);
    const auto x = test::RandomValues(c.from, random);
    const TensorType type = test::F32Type(c.to);
    std::vector<double> sides(c.to.begin(), c.to.end());
    const auto result = RunCall("sumTo", {&x}, {type}, {{"shape", sides}});
    EXPECT_TRUE(result.status.ok());
    const std::vector<float> expected = PlainSums(x, type.shape), got = result.outputs[0].Floats();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_LE(std::abs(got[i] - expected[i]), 2e-4);
    const auto other = RunCall("sumTo", {&x}, {type}, {{"shape", sides}}, {.threads = 7, .order = 4});
    EXPECT_TRUE(result.outputs[0] == other.outputs[0]);
  }
}

EMU_TEST(RefusesShapesThatDoNotBroadcast) {
  test::Random random(1);
  const auto x = test::RandomValues({2, 3}, random);
  EXPECT_EQ(
      RunCall("sumTo", {&x}, {test::F32Type({2})}, {{"shape", std::vector<double>{2}}}).status.message(),
      "[sumTo] [2] does not broadcast to x [2,3]: got f32[2,3]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
