#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;

// The element of b for element `index` of a.
int64_t BroadcastIndex(const Shape& a, const Shape& b, int64_t index) {
  int64_t offset = 0, stride = 1;
  for (int from_end = 0; from_end < a.rank; ++from_end) {
    const int64_t at = index % a.last(from_end);
    index /= a.last(from_end);
    if (from_end >= b.rank) continue;
    if (b.last(from_end) != 1) offset += at * stride;
    stride *= b.last(from_end);
  }
  return offset;
}

void ExpectSameAsPlainLoop(std::initializer_list<int64_t> a_sides, std::initializer_list<int64_t> b_sides) {
  test::Random random(7);
  const auto a = test::RandomValues(a_sides, random), b = test::RandomValues(b_sides, random);
  const auto result = RunCall("add", {&a, &b}, {a.type}, {}, {.threads = 3});
  EXPECT_TRUE(result.status.ok());
  for (int64_t i = 0; i < a.type.shape.elements(); ++i) {
    EXPECT_EQ(result.outputs[0].f32()[i],
              a.f32()[i] + b.f32()[BroadcastIndex(a.type.shape, b.type.shape, i)]);
  }
}

EMU_TEST(BroadcastsFromTheRight) {
  ExpectSameAsPlainLoop({}, {});
  ExpectSameAsPlainLoop({1}, {1});
  ExpectSameAsPlainLoop({2, 3, 37}, {2, 3, 37});
  ExpectSameAsPlainLoop({2, 3, 37}, {37});
  ExpectSameAsPlainLoop({2, 3, 37}, {3, 1});
  ExpectSameAsPlainLoop({2, 3, 37}, {2, 1, 37});
  ExpectSameAsPlainLoop({2, 3, 37}, {2, 1, 1});
  ExpectSameAsPlainLoop({2, 3, 37}, {});
  ExpectSameAsPlainLoop({2, 3, 4, 5, 6}, {2, 1, 4, 1, 6});
  ExpectSameAsPlainLoop({5, 1, 4, 1, 9}, {4, 1, 1});
  ExpectSameAsPlainLoop({300, 401}, {401});
  ExpectSameAsPlainLoop({300, 401}, {300, 1});
  ExpectSameAsPlainLoop({100003}, {100003});
  ExpectSameAsPlainLoop({4, 0, 3}, {3});
}

EMU_TEST(RefusesAShapeThatDoesNotBroadcast) {
  test::Random random(1);
  const auto a = test::RandomValues({2, 3}, random), b = test::RandomValues({2}, random);
  const auto wide = test::RandomValues({1, 2, 3}, random), index = test::Indices({3}, {0, 0, 0});
  EXPECT_EQ(RunCall("add", {&a, &b}, {a.type}, {}).status.message(),
            "[add] b [2] does not broadcast to a [2,3]: got f32[2,3], f32[2]");
  EXPECT_EQ(RunCall("add", {&a, &wide}, {a.type}, {}).status.message(),
            "[add] b [1,2,3] does not broadcast to a [2,3]: got f32[2,3], f32[1,2,3]");
  EXPECT_EQ(RunCall("add", {&a, &index}, {a.type}, {}).status.message(),
            "[add] a and b must be f32: got f32[2,3], i32[3]");
  EXPECT_EQ(RunCall("add", {&a, nullptr}, {a.type}, {}).status.message(),
            "[add] input 1 is missing: got f32[2,3], _");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
