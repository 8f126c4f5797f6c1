#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;
using test::Tensor;

std::map<std::string, AttributeValue> Options(int layout, const char* precision) {
  return {{"transposeA", layout & 1 ? 1.0 : 0.0},
          {"transposeB", layout & 2 ? 1.0 : 0.0},
          {"precision", std::string(precision)}};
}

// The last sizes have several parts in a task, and several blocks of k.
EMU_TEST(HasTheBitsOfMatmulFollowedByAccumulate) {
  struct Sides {
    int64_t rows, width, columns;
  };
  const Sides sizes[] = {{0, 3, 2}, {3, 0, 5}, {1, 1, 1}, {7, 33, 15}, {200, 65, 97}, {193, 1100, 2111}};
  for (const Sides& size : sizes) {
    for (int layout = 0; layout < 4; ++layout) {
      for (const char* precision : {"f32", "bf16"}) {
        for (int threads : {1, 2, 5}) {
          test::Random random(static_cast<uint64_t>(size.width + layout));
          const Tensor state = test::RandomValues({size.rows, size.columns}, random);
          const Tensor a = layout & 1 ? test::RandomValues({size.width, size.rows}, random)
                                      : test::RandomValues({size.rows, size.width}, random);
          const Tensor b = layout & 2 ? test::RandomValues({size.columns, size.width}, random)
                                      : test::RandomValues({size.width, size.columns}, random);
          const auto options = Options(layout, precision);
          const auto sum =
              RunCall("accumulateMatmul", {&state, &a, &b}, {state.type}, options, {.threads = threads});
          EXPECT_EQ(sum.status.message(), "");
          const Tensor product = RunCall("matmul", {&a, &b}, {state.type}, options).outputs[0];
          const auto added =
              RunCall("accumulate", {&state, &product}, {state.type}, {{"keep", 1.0}, {"factor", 1.0}});
          EXPECT_TRUE(sum.status.ok() && sum.outputs[0] == added.outputs[0]);
        }
      }
    }
  }
}

EMU_TEST(TakesFactorsOfEitherDtype) {
  test::Random random(3);
  const Tensor state = test::RandomValues({33, 50}, random), wide = test::RandomValues({33, 65}, random);
  const Tensor a = test::ValuesBf16({33, 65}, wide.Floats()), b = test::RandomValues({65, 50}, random);
  const auto sum = RunCall("accumulateMatmul", {&state, &a, &b}, {state.type}, Options(0, "bf16"));
  const auto same = RunCall("accumulateMatmul", {&state, &wide, &b}, {state.type}, Options(0, "bf16"));
  EXPECT_TRUE(sum.outputs[0] == same.outputs[0]);
}

EMU_TEST(RefusesAStateOfAnotherShape) {
  test::Random random(1);
  const Tensor state = test::RandomValues({3, 5}, random), a = test::RandomValues({2, 3}, random);
  const Tensor b = test::RandomValues({3, 5}, random);
  EXPECT_EQ(RunCall("accumulateMatmul", {&state, &a, &b}, {state.type}, Options(0, "f32")).status.message(),
            "[accumulateMatmul] the product is f32[2,5], which is not like the state: got f32[3,5], "
            "f32[2,3], f32[3,5]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
