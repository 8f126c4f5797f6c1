#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

test::CallResult Copy(const Tensor& cache, const std::vector<int32_t>& from, const std::vector<int32_t>& to,
                      int threads = 1) {
  const int64_t count = static_cast<int64_t>(from.size());
  const Tensor sources = test::Indices({count}, from), targets = test::Indices({count}, to);
  return test::RunCall("cachePageCopy", {&cache, &sources, &targets}, {cache.type}, {},
                       {.threads = threads, .order = 5});
}

EMU_TEST(CopiesFollowTheOrderOfTheList) {
  test::Random random(2);
  const int64_t size = 16 * 3 * 50;
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    const std::vector<float> values = random.Floats(4 * size);
    const Tensor cache = dtype == DType::kF32 ? test::Values({4, 16, 3, 50}, values)
                                              : test::ValuesBf16({4, 16, 3, 50}, values);
    // 0 -> 1, then the new 1 -> 2, one left out, 3 onto itself.
    const auto result = Copy(cache, {0, 1, -1, 3}, {1, 2, 99, 3});
    EXPECT_EQ(result.status.message(), "");
    const std::vector<float> before = cache.Floats(), after = result.outputs[0].Floats();
    for (int64_t i = 0; i < size; ++i) {
      for (int64_t page : {0, 1, 2}) EXPECT_TRUE(after[page * size + i] == before[i]);
      EXPECT_TRUE(after[3 * size + i] == before[3 * size + i]);
    }
    EXPECT_TRUE(Copy(cache, {0, 1, -1, 3}, {1, 2, 99, 3}, 8).outputs[0] == result.outputs[0]);
  }
}

EMU_TEST(RefusesPagesOutsideTheCache) {
  const Tensor cache(test::F32Type({4, 1, 1, 2}));
  EXPECT_EQ(Copy(cache, {0, 4}, {1, 1}).status.message(), "[cachePageCopy] from 4 at row 1 is not in -1..3");
  EXPECT_EQ(Copy(cache, {0, 1}, {1, -1}).status.message(), "[cachePageCopy] to -1 at row 1 is not in 0..3");
  EXPECT_EQ(Copy(cache, {-1}, {-1}).status.message(), "");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
