#include "ops/cache_write/cache_write.h"

#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

test::CallResult Write(const Tensor& cache, const Tensor& rows, const std::vector<int32_t>& slots,
                       const std::vector<int32_t>& positions, const Tensor& page_table,
                       const char* part = "values", uint64_t order = 1) {
  const int64_t count = rows.type.shape[0];
  const Tensor slot = test::Indices({count}, slots), position = test::Indices({count}, positions);
  return test::RunCall("cacheWrite", {&cache, &rows, &slot, &position, &page_table}, {cache.type},
                       {{"part", part}}, {.threads = 3, .order = order});
}

EMU_TEST(RowsLandInTheirPagesRoundedAndTheRestStays) {
  test::Random random(2);
  const Tensor table = test::Indices({2, 2}, {3, 0, 1, 2});
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    for (const bool keys : {true, false}) {
      Tensor cache(test::Type(dtype, {4, 5, keys ? 41 : 3, keys ? 3 : 41}));
      std::memset(cache.bytes.data(), 0, static_cast<size_t>(cache.bytes.size()));
      const Tensor rows = test::RandomValues({4, 5, 41}, random);
      // The third row is left out; the last one replaces the first.
      const char* part = keys ? "keys" : "values";
      const auto result = Write(cache, rows, {1, 0, -1, 1}, {4, 0, 77, 4}, table, part);
      EXPECT_EQ(result.status.message(), "");
      std::vector<float> wanted(4 * 3 * 205);
      const auto place = [&](int64_t row, int64_t page, int64_t offset) {
        for (int64_t head = 0; head < 5; ++head) {
          for (int64_t i = 0; i < 41; ++i) {
            const float value = rows.f32()[row * 205 + head * 41 + i];
            const int64_t in_part = keys ? i * 3 + offset : offset * 41 + i;
            wanted[static_cast<size_t>((page * 5 + head) * 123 + in_part)] =
                dtype == DType::kF32 ? value : ToFloat(ToBf16(value));
          }
        }
      };
      place(3, 2, 1);
      place(1, 3, 0);
      EXPECT_TRUE(result.outputs[0].Floats() == wanted);
      const auto again = Write(cache, rows, {1, 0, -1, 1}, {4, 0, 77, 4}, table, part, 8);
      EXPECT_TRUE(again.outputs[0] == result.outputs[0]);
    }
  }
}

EMU_TEST(RefusesAPartThatIsNeitherKeysNorValues) {
  const Tensor cache(test::F32Type({4, 1, 3, 8})), rows(test::F32Type({1, 1, 8}));
  EXPECT_EQ(Write(cache, rows, {0}, {2}, test::Indices({1, 1}, {3}), "both").status.message(),
            "[cacheWrite] part \"both\" is not keys or values");
}

EMU_TEST(RefusesPlacesOutsideTheCache) {
  const Tensor cache(test::F32Type({4, 1, 3, 8})), rows(test::F32Type({1, 1, 8}));
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
