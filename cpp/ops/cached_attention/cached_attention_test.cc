#include "ops/cached_attention/cached_attention.h"

#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

struct Sizes {
  int64_t heads, key_heads, width, pages, page_rows, slots, pages_per_slot;
};

// A cache of random values and a page table that uses its pages in random order.
struct Cache {
  Sizes sizes;
  Tensor keys, values, page_table;

  Cache(const Sizes& s, DType dtype, test::Random& random)
      : sizes(s),
        keys(test::Type(dtype, {s.pages, s.key_heads, s.width, s.page_rows})),
        values(test::Type(dtype, {s.pages, s.key_heads, s.page_rows, s.width})),
        page_table(test::Type(DType::kI32, {s.slots, s.pages_per_slot})) {
    for (Tensor* tensor : {&keys, &values}) {
      for (int64_t i = 0; i < tensor->type.shape.elements(); ++i) {
        if (dtype == DType::kF32) tensor->f32()[i] = random.Uniform();
        if (dtype == DType::kBf16) tensor->bf16()[i] = ToBf16(random.Uniform());
      }
    }
    std::vector<int32_t> order(static_cast<size_t>(s.pages));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Next() % i]);
    for (int64_t i = 0; i < s.slots * s.pages_per_slot; ++i) page_table.i32()[i] = order[i % s.pages];
  }

  // Where element `i` of a head lies in `keys` and in `values`.
  int64_t KeyAt(int64_t slot, int64_t position, int64_t head, int64_t i) const {
    return (PartAt(slot, position, head) * sizes.width + i) * sizes.page_rows + position % sizes.page_rows;
  }
  int64_t ValueAt(int64_t slot, int64_t position, int64_t head, int64_t i) const {
    return (PartAt(slot, position, head) * sizes.page_rows + position % sizes.page_rows) * sizes.width + i;
  }
  int64_t PartAt(int64_t slot, int64_t position, int64_t head) const {
    const int64_t page = page_table.i32()[slot * sizes.pages_per_slot + position / sizes.page_rows];
    return page * sizes.key_heads + head;
  }
};

test::CallResult Run(const Cache& cache, const Tensor& q, const std::vector<int32_t>& slots,
                     const std::vector<int32_t>& positions, const test::CallOptions& options = {}) {
  const int64_t rows = q.type.shape[0];
  const Tensor slot = test::Indices({rows}, slots), position = test::Indices({rows}, positions);
  return test::RunCall("cachedAttention",
                       {&q, &cache.keys, &cache.values, &slot, &position, &cache.page_table}, {q.type},
                       {{"scale", 1 / std::sqrt(cache.sizes.width)}}, options);
}

Tensor SomeRows(const Tensor& q, int64_t begin, int64_t end) {
  const int64_t size = q.type.shape[1] * q.type.shape[2];
  Tensor rows(test::F32Type({end - begin, q.type.shape[1], q.type.shape[2]}));
  std::copy_n(q.f32() + begin * size, (end - begin) * size, rows.f32());
  return rows;
}

// The keys of one slot without pages, through the dense op.
std::vector<float> Dense(const Cache& cache, const Tensor& q, int64_t row, int64_t slot, int64_t position) {
  const Sizes& s = cache.sizes;
  Tensor keys(test::F32Type({1, position + 1, s.key_heads, s.width})), values(keys.type);
  const std::vector<float> all_keys = cache.keys.Floats(), all_values = cache.values.Floats();
  float *key = keys.f32(), *value = values.f32();
  for (int64_t p = 0; p <= position; ++p) {
    for (int64_t head = 0; head < s.key_heads; ++head) {
      for (int64_t i = 0; i < s.width; ++i) {
        *key++ = all_keys[static_cast<size_t>(cache.KeyAt(slot, p, head, i))];
        *value++ = all_values[static_cast<size_t>(cache.ValueAt(slot, p, head, i))];
      }
    }
  }
  Tensor one(test::F32Type({1, 1, s.heads, s.width}));
  std::copy_n(q.f32() + row * s.heads * s.width, s.heads * s.width, one.f32());
  const auto result = test::RunCall("attention", {&one, &keys, &values, nullptr}, {one.type},
                                    {{"scale", 1 / std::sqrt(s.width)}, {"causal", 0.0}});
  return result.outputs[0].Floats();
}

constexpr Sizes kSizes[] = {{4, 4, 40, 9, 16, 2, 16},
                            {6, 2, 128, 12, 7, 3, 40},
                            {2, 1, 17, 3, 100, 2, 2},
                            {4, 2, 88, 5, 64, 2, 3},
                            {3, 3, 33, 20, 8, 2, 30}};

EMU_TEST(AMixedBatchEqualsDenseAttentionOverTheSlotsBitForBit) {
  for (const Sizes& sizes : kSizes) {
    for (DType dtype : {DType::kF32, DType::kBf16}) {
      test::Random random(sizes.width);
      const Cache cache(sizes, dtype, random);
      // Decoding rows, a run of one slot, ignored rows, a slot that comes back.
      const std::vector<int32_t> slots = {0, 1, 0, 1, 1, 1, 1, 1, 1, 1, -1, -1, 0, 0, -1, 1};
      const std::vector<int32_t> positions = {90, 3, 0, 5, 6, 7, 8, 9, 128, 11, 9999, -4, 127, 126, 0, 14};
      const Tensor q = test::RandomValues({16, sizes.heads, sizes.width}, random);
      const auto result = Run(cache, q, slots, positions);
      EXPECT_EQ(result.status.message(), "");
      const std::vector<float> out = result.outputs[0].Floats();
      const int64_t size = sizes.heads * sizes.width;
      for (int64_t row = 0; row < 16; ++row) {
        const std::vector<float> own(out.begin() + row * size, out.begin() + (row + 1) * size);
        const std::vector<float> wanted = slots[row] < 0 ? std::vector<float>(own.size())
                                                         : Dense(cache, q, row, slots[row], positions[row]);
        EXPECT_TRUE(own == wanted);
      }
    }
  }
}

EMU_TEST(APromptAtOnceInChunksAndRowByRowGivesTheSameBits) {
  const int64_t count = 70, first = 100;
  const Sizes sizes = {3, 3, 88, 30, 16, 2, 15};
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    test::Random random(9);
    const Cache cache(sizes, dtype, random);
    const Tensor q = test::RandomValues({count, sizes.heads, sizes.width}, random);
    std::vector<int32_t> positions(count), slots(count, 1);
    for (int64_t r = 0; r < count; ++r) positions[r] = static_cast<int32_t>(first + r);
    const auto together = Run(cache, q, slots, positions);
    EXPECT_TRUE(together.outputs[0] ==
                Run(cache, q, slots, positions, {.threads = 9, .order = 4}).outputs[0]);
    for (int64_t chunk : {1, 16, 33}) {
      for (int64_t begin = 0; begin < count; begin += chunk) {
        const int64_t end = std::min(begin + chunk, count);
        const auto part = Run(cache, SomeRows(q, begin, end), {slots.begin() + begin, slots.begin() + end},
                              {positions.begin() + begin, positions.begin() + end});
        EXPECT_TRUE(part.outputs[0] == SomeRows(together.outputs[0], begin, end));
      }
    }
  }
}

EMU_TEST(ThePageLayoutDoesNotChangeABit) {
  const int64_t positions = 300, width = 24;
  test::Random random(4);
  const Cache one_page({1, 1, width, 1, positions, 1, 1}, DType::kF32, random);
  Cache many({1, 1, width, 100, 3, 1, 100}, DType::kF32, random);
  const Tensor q = test::RandomValues({1, 1, width}, random);
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < width; ++i) {
      many.keys.f32()[many.KeyAt(0, p, 0, i)] = one_page.keys.f32()[one_page.KeyAt(0, p, 0, i)];
      many.values.f32()[many.ValueAt(0, p, 0, i)] = one_page.values.f32()[one_page.ValueAt(0, p, 0, i)];
    }
  }
  EXPECT_TRUE(Run(one_page, q, {0}, {299}).outputs[0] == Run(many, q, {0}, {299}).outputs[0]);
}

// Whatever lies in the cache beyond a row's position has no say, be it NaN.
EMU_TEST(UnwrittenRowsOfTheCacheAreNotRead) {
  const Sizes sizes = {2, 2, 20, 4, 16, 1, 4};
  test::Random random(4);
  Cache cache(sizes, DType::kF32, random);
  const Tensor q = test::RandomValues({2, 2, 20}, random);
  const auto before = Run(cache, q, {0, 0}, {40, 41});
  for (int64_t p = 42; p < 64; ++p) {
    for (int64_t i = 0; i < 20; ++i) {
      for (int64_t head = 0; head < 2; ++head) {
        cache.keys.f32()[cache.KeyAt(0, p, head, i)] = NAN;
        cache.values.f32()[cache.ValueAt(0, p, head, i)] = NAN;
      }
    }
  }
  EXPECT_TRUE(before.outputs[0] == Run(cache, q, {0, 0}, {40, 41}).outputs[0]);
  EXPECT_TRUE(SomeRows(before.outputs[0], 1, 2) == Run(cache, SomeRows(q, 1, 2), {0}, {41}).outputs[0]);
}

EMU_TEST(RefusesPlacesOutsideTheCache) {
  const Sizes sizes = {1, 1, 8, 4, 16, 2, 3};
  test::Random random(4);
  Cache cache(sizes, DType::kF32, random);
  const Tensor q = test::RandomValues({2, 1, 8}, random);
  EXPECT_EQ(Run(cache, q, {0, 2}, {0, 0}).status.message(),
            "[cachedAttention] slot 2 at row 1 is not in -1..1");
  EXPECT_EQ(Run(cache, q, {-2, 1}, {0, 0}).status.message(),
            "[cachedAttention] slot -2 at row 0 is not in -1..1");
  EXPECT_EQ(Run(cache, q, {0, 1}, {0, 48}).status.message(),
            "[cachedAttention] position 48 at row 1 is not in 0..47");
  EXPECT_EQ(Run(cache, q, {0, 1}, {-1, 0}).status.message(),
            "[cachedAttention] position -1 at row 0 is not in 0..47");
  cache.page_table.i32()[1 * 3 + 1] = -1;
  EXPECT_EQ(Run(cache, q, {1, 0}, {15, 47}).status.message(), "");
  EXPECT_EQ(Run(cache, q, {1, 1}, {15, 40}).status.message(),
            "[cachedAttention] page -1 at row 1 is not in 0..3 (slot 1, position 16)");
  EXPECT_TRUE(Run(cache, q, {1, 1}, {15, 40}).status.code() == Code::kInvalidOption);
}

EMU_TEST(RefusesCachesOfTwoTypes) {
  const Sizes sizes = {1, 1, 8, 4, 16, 2, 3};
  test::Random random(4);
  Cache cache(sizes, DType::kF32, random);
  cache.values = Cache(sizes, DType::kBf16, random).values;
  const Tensor q = test::RandomValues({1, 1, 8}, random);
  EXPECT_EQ(
      Run(cache, q, {0}, {0}).status.message(),
      "[cachedAttention] keyCache and valueCache are of different types: got f32[1,1,8], f32[4,1,8,16], "
      "bf16[4,1,16,8], i32[1], i32[1], i32[2,3]");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
