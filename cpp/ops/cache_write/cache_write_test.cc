#include "ops/cache_write/cache_write.h"

#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

test::CallResult Write(const Tensor& cache, const Tensor& rows, const std::vector<int32_t>& slots,
                       const std::vector<int32_t>& positions, const Tensor& page_table, uint64_t order = 1) {
  const int64_t count = rows.type.shape[0];
  const Tensor slot = test::Indices({count}, slots), position = test::Indices({count}, positions);
  return test::RunCall("cacheWrite", {&cache, &rows, &slot, &position, &page_table}, {cache.type}, {},
                       {.threads = 3, .order = order});
}

EMU_TEST(RowsLandInTheirPagesRoundedAndTheRestStays) {
  test::Random random(2);
  const Tensor table = test::Indices({2, 2}, {3, 0, 1, 2});
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    Tensor cache(test::Type(dtype, {4, 3, 5, 41}));
    std::memset(cache.bytes.data(), 0, static_cast<size_t>(cache.bytes.size()));
    const Tensor rows = test::RandomValues({4, 5, 41}, random);
    // The third row is left out; the last one replaces the first.
    const auto result = Write(cache, rows, {1, 0, -1, 1}, {4, 0, 77, 4}, table);
    EXPECT_EQ(result.status.message(), "");
    std::vector<float> wanted(4 * 3 * 205);
    const auto place = [&](int64_t row, int64_t page, int64_t offset) {
      for (int64_t i = 0; i < 205; ++i) {
        const float value = rows.f32()[row * 205 + i];
        wanted[(page * 3 + offset) * 205 + i] = dtype == DType::kF32 ? value : ToFloat(ToBf16(value));
      }
    };
    place(3, 2, 1);
    place(1, 3, 0);
    EXPECT_TRUE(result.outputs[0].Floats() == wanted);
    EXPECT_TRUE(Write(cache, rows, {1, 0, -1, 1}, {4, 0, 77, 4}, table, 8).outputs[0] == result.outputs[0]);
  }
}

EMU_TEST(RefusesPlacesOutsideTheCache) {
  const Tensor cache(test::F32Type({4, 3, 1, 8})), rows(test::F32Type({1, 1, 8}));
  const Tensor table = test::Indices({2, 2}, {3, -1, 1, 4});
  EXPECT_EQ(Write(cache, rows, {0}, {2}, table).status.message(), "");
  EXPECT_EQ(Write(cache, rows, {0}, {6}, table).status.message(),
            "[cacheWrite] position 6 at row 0 is not in 0..5");
  EXPECT_EQ(Write(cache, rows, {0}, {3}, table).status.message(),
            "[cacheWrite] page -1 at row 0 is not in 0..3 (slot 0, position 3)");
  EXPECT_EQ(Write(cache, rows, {1}, {5}, table).status.message(),
            "[cacheWrite] page 4 at row 0 is not in 0..3 (slot 1, position 3)");
  EXPECT_EQ(Write(cache, rows, {7}, {0}, table).status.message(),
            "[cacheWrite] slot 7 at row 0 is not in -1..1");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
