#include "base/test_call.h"

namespace emu {
namespace {

using test::F32Type;
using test::RunCall;

void ExpectPermuted(std::initializer_list<int64_t> sides, const std::vector<double>& axes) {
  test::Random random(1);
  const auto x = test::RandomValues(sides, random);
  const Shape& from = x.type.shape;
  TensorType type = F32Type({});
  for (double axis : axes) type.shape.sides[type.shape.rank++] = from[static_cast<int>(axis)];
  const auto result = RunCall("permute", {&x}, {type}, {{"axes", axes}}, {.threads = 3});
  EXPECT_TRUE(result.status.ok());
  bool same = true;
  for (int64_t i = 0; i < from.elements(); ++i) {
    int64_t index = 0, rest = i;
    for (int axis = from.rank - 1; axis >= 0; --axis) {
      const int to = static_cast<int>(axes[axis]);
      index += rest % type.shape[axis] * from.product(to + 1, from.rank);
      rest /= type.shape[axis];
    }
    same &= result.outputs[0].f32()[i] == x.f32()[index];
  }
  EXPECT_TRUE(same);
}

EMU_TEST(TransposesMatricesOfEverySizeAroundATile) {
  for (int64_t rows : {1, 2, 3, 15, 16, 17, 33}) {
    for (int64_t columns : {1, 3, 4, 15, 16, 17, 32, 47}) ExpectPermuted({rows, columns}, {1, 0});
  }
  ExpectPermuted({70, 3000}, {1, 0});
  ExpectPermuted({3000, 3}, {1, 0});
}

EMU_TEST(MovesChannelsFirstAndLast) {
  ExpectPermuted({2, 9, 7, 40}, {0, 3, 1, 2});
  ExpectPermuted({2, 40, 9, 7}, {0, 2, 3, 1});
  ExpectPermuted({1, 3, 64, 48}, {0, 2, 3, 1});
}

EMU_TEST(SwapsHeadsAndPositions) {
  ExpectPermuted({2, 33, 5, 64}, {0, 2, 1, 3});
  ExpectPermuted({2, 5, 33, 7}, {0, 2, 1, 3});
}

EMU_TEST(TakesAnyOrderOfUpToEightAxes) {
  ExpectPermuted({}, {});
  ExpectPermuted({5}, {0});
  ExpectPermuted({2, 3, 4}, {0, 1, 2});
  ExpectPermuted({2, 3, 4}, {2, 1, 0});
  ExpectPermuted({2, 3, 4}, {1, 2, 0});
  ExpectPermuted({2, 1, 3, 1, 4}, {4, 1, 0, 3, 2});
  ExpectPermuted({2, 3, 2, 3, 2, 3, 2, 3}, {7, 0, 6, 1, 5, 2, 4, 3});
  ExpectPermuted({2, 3, 2, 3, 2, 3, 2, 3}, {5, 6, 0, 1, 3, 2, 4, 7});
  ExpectPermuted({2, 3, 2, 19, 2, 3, 2, 18}, {1, 7, 0, 2, 4, 5, 6, 3});
  ExpectPermuted({4, 0, 3}, {2, 0, 1});
}

EMU_TEST(RefusesAxesThatAreNoPermutation) {
  test::Random random(1);
  const auto x = test::RandomValues({2, 3}, random);
  const auto message = [&](std::vector<double> axes) {
    return RunCall("permute", {&x}, {x.type}, {{"axes", std::move(axes)}}).status.message();
  };
  EXPECT_EQ(message({0, 0}), "[permute] axes [0,0] is not each of 0..1 once");
  EXPECT_EQ(message({0, 2}), "[permute] axes [0,2] is not each of 0..1 once");
  EXPECT_EQ(message({0}), "[permute] axes [0] is not each of 0..1 once");
  EXPECT_EQ(message({0, -1}), "[permute] axes [0,-1] is not each of 0..1 once");
  EXPECT_EQ(message({0, 1e15}), "[permute] axes [0,1000000000000000] is not each of 0..1 once");
  EXPECT_EQ(message({1, 0}), "[permute] makes f32[3,2], the program declares f32[2,3]: got f32[2,3]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
