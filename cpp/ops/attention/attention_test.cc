#include "ops/attention/attention.h"

#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

struct Case {
  int64_t batch, queries, keys, heads, key_heads, width;
  bool causal = false, bias = false;
};

struct Inputs {
  Tensor q, k, v, bias;
  Inputs(const Case& c, test::Random& random)
      : q(test::RandomValues({c.batch, c.queries, c.heads, c.width}, random)),
        k(test::RandomValues({c.batch, c.keys, c.key_heads, c.width}, random)),
        v(test::RandomValues({c.batch, c.keys, c.key_heads, c.width}, random)),
        bias(test::RandomValues({c.heads, c.queries, c.keys}, random)) {}
};

test::CallResult Run(const Case& c, const Inputs& inputs, const test::CallOptions& options = {}) {
  return test::RunCall(
      "attention", {&inputs.q, &inputs.k, &inputs.v, c.bias ? &inputs.bias : nullptr}, {inputs.q.type},
      {{"scale", 2 / std::sqrt(std::max<int64_t>(c.width, 1))}, {"causal", c.causal ? 1.0 : 0.0}}, options);
}

// Plain loops in double precision.
std::vector<float> Reference(const Case& c, const Inputs& inputs) {
  std::vector<float> out(static_cast<size_t>(inputs.q.type.shape.elements()));
  for (int64_t row = 0; row < c.batch * c.queries * c.heads; ++row) {
    const int64_t h = row % c.heads, t = row / c.heads % c.queries, b = row / c.heads / c.queries;
    const int64_t seen = c.causal ? std::max<int64_t>(t + c.keys - c.queries + 1, 0) : c.keys;
    const auto key_at = [&](int64_t s) {
      return ((b * c.keys + s) * c.key_heads + h / (c.heads / c.key_heads)) * c.width;
    };
    std::vector<double> weights(static_cast<size_t>(seen)), sums(static_cast<size_t>(c.width));
    double largest = -INFINITY, total = 0;
    for (int64_t s = 0; s < seen; ++s) {
      double dot = 0;
      for (int64_t i = 0; i < c.width; ++i) {
        dot += double(inputs.q.f32()[row * c.width + i]) * inputs.k.f32()[key_at(s) + i];
      }
      weights[s] =
          dot * 2 / std::sqrt(c.width) + (c.bias ? inputs.bias.f32()[(h * c.queries + t) * c.keys + s] : 0);
      largest = std::max(largest, weights[s]);
    }
    if (largest == -INFINITY) continue;
    for (int64_t s = 0; s < seen; ++s) {
      const double weight = std::exp(weights[s] - largest);
      total += weight;
      for (int64_t i = 0; i < c.width; ++i) sums[i] += weight * inputs.v.f32()[key_at(s) + i];
    }
    for (int64_t i = 0; i < c.width; ++i) out[row * c.width + i] = static_cast<float>(sums[i] / total);
  }
  return out;
}

constexpr Case kCases[] = {
    {1, 1, 1, 1, 1, 1},
    {2, 7, 5, 2, 2, 3},
    {1, 13, 257, 2, 2, 88},
    {1, 257, 257, 2, 2, 16, true},
    {1, 300, 300, 1, 1, 40, true, true},
    {1, 70, 129, 4, 2, 64, true},
    {2, 33, 127, 6, 2, 80},
    {1, 5, 128, 8, 1, 128},
    {1, 50, 131, 1, 1, 160, false, true},
    {1, 61, 260, 1, 1, 512},
    {1, 9, 4, 2, 1, 17, true},  // the first five queries see no key
    {1, 31, 77, 3, 3, 33},
    {3, 1, 500, 4, 4, 128, true},
};

EMU_TEST(AgreesWithPlainLoopsAtAwkwardSizes) {
  for (const Case& c : kCases) {
    test::Random random(c.width * 7 + c.keys);
    const Inputs inputs(c, random);
    const auto result = Run(c, inputs);
    EXPECT_EQ(result.status.message(), "");
    EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), Reference(c, inputs)), 2e-6);
  }
}

EMU_TEST(ThreadsAndTaskOrderDoNotChangeABit) {
  for (const Case& c : kCases) {
    test::Random random(c.keys);
    const Inputs inputs(c, random);
    const auto one = Run(c, inputs, {.threads = 1, .order = 1});
    for (int threads : {2, 5, 64}) {
      EXPECT_TRUE(one.outputs[0] == Run(c, inputs, {.threads = threads, .order = 7u + threads}).outputs[0]);
    }
  }
}

// The last query of a causal call sees all keys, so every query can be run alone over a shorter list of keys.
EMU_TEST(AQueryAloneIsBitEqualToTheSameQueryAmongOthers) {
  for (const Case& c : {Case{1, 300, 300, 2, 2, 40, true, true}, Case{1, 140, 270, 2, 1, 88, true}}) {
    test::Random random(c.keys);
    const Inputs all(c, random);
    const auto together = Run(c, all);
    const int64_t query_size = c.heads * c.width, key_size = c.key_heads * c.width;
    for (int64_t t = 0; t < c.queries; t += 1 + t % 3) {
      const int64_t seen = t + c.keys - c.queries + 1;
      const Case alone = {1, 1, seen, c.heads, c.key_heads, c.width, true, c.bias};
      Inputs one(alone, random);
      std::copy_n(all.q.f32() + t * query_size, query_size, one.q.f32());
      std::copy_n(all.k.f32(), seen * key_size, one.k.f32());
      std::copy_n(all.v.f32(), seen * key_size, one.v.f32());
      for (int64_t h = 0; h < c.heads; ++h) {
        std::copy_n(all.bias.f32() + (h * c.queries + t) * c.keys, seen, one.bias.f32() + h * seen);
      }
      const auto result = Run(alone, one);
      EXPECT_TRUE(std::memcmp(result.outputs[0].f32(), together.outputs[0].f32() + t * query_size,
                              static_cast<size_t>(query_size) * 4) == 0);
    }
  }
}

// Packed sequences are those sequences alone: every query sees the keys of its own sequence, in their order.
EMU_TEST(PackedSequencesAgreeWithTheSequencesAlone) {
  for (const Case& c : {Case{2, 300, 300, 4, 2, 40, true}, Case{1, 150, 150, 1, 1, 17, false, true}}) {
    test::Random random(c.keys);
    const Inputs inputs(c, random);
    const int64_t cuts[] = {0, 10, c.keys - 131, c.keys};
    Tensor first_key(test::Type(DType::kI32, {c.batch, c.queries}));
    for (int64_t i = 0; i < c.batch * c.queries; ++i) {
      for (int64_t cut : cuts) {
        if (cut <= i % c.queries) first_key.i32()[i] = static_cast<int32_t>(cut);
      }
    }
    const auto run = [&](const Inputs& in, bool bias, const Tensor* first) {
      return test::RunCall("attention", {&in.q, &in.k, &in.v, bias ? &in.bias : nullptr, first}, {in.q.type},
                           {{"scale", 2 / std::sqrt(c.width)}, {"causal", 1.0}}, {.threads = 3});
    };
    const auto together = run(inputs, c.bias, &first_key);
    EXPECT_EQ(together.status.message(), "");
    const int64_t query_size = c.heads * c.width, key_size = c.key_heads * c.width;
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int cut = 0; cut < 3; ++cut) {
        const int64_t begin = cuts[cut], length = cuts[cut + 1] - begin;
        const Case alone = {1, length, length, c.heads, c.key_heads, c.width, true, c.bias};
        Inputs one(alone, random);
        const int64_t at = b * c.queries + begin;
        std::copy_n(inputs.q.f32() + at * query_size, length * query_size, one.q.f32());
        std::copy_n(inputs.k.f32() + at * key_size, length * key_size, one.k.f32());
        std::copy_n(inputs.v.f32() + at * key_size, length * key_size, one.v.f32());
        for (int64_t row = 0; row < c.heads * length; ++row) {
          const int64_t h = row / length, t = row % length;
          std::copy_n(inputs.bias.f32() + (h * c.queries + begin + t) * c.keys + begin, length,
                      one.bias.f32() + row * length);
        }
        const auto expected = run(one, c.bias, nullptr).outputs[0].Floats();
        const float* found = together.outputs[0].f32() + at * query_size;
        EXPECT_LE(test::RelativeError({found, found + length * query_size}, expected), 2e-6);
      }
    }
  }
}

EMU_TEST(AQueryWithoutKeysGivesZerosAndAFirstKeyBeyondThemIsRefused) {
  const Case c = {1, 3, 4, 1, 1, 8};
  test::Random random(1);
  const Inputs inputs(c, random);
  const auto run = [&](int32_t first) {
    const auto first_key = test::Indices({1, 3}, {0, first, 2});
    return test::RunCall("attention", {&inputs.q, &inputs.k, &inputs.v, nullptr, &first_key}, {inputs.q.type},
                         {{"scale", 1.0}, {"causal", 0.0}});
  };
  const auto out = run(4).outputs[0].Floats();
  for (size_t i = 8; i < 16; ++i) EXPECT_EQ(out[i], 0.0f);
  EXPECT_TRUE(out[0] != 0 && out[16] != 0);
  EXPECT_EQ(run(5).status.message(), "[attention] firstKey 5 at row 1 is not in 0..4");
  EXPECT_EQ(run(-1).status.message(), "[attention] firstKey -1 at row 1 is not in 0..4");
}

EMU_TEST(LargeScoresNeitherOverflowNorLoseTheLargest) {
  const Case c = {1, 3, 200, 1, 1, 8};
  test::Random random(3);
  Inputs inputs(c, random);
  for (int64_t i = 0; i < 3 * 8; ++i) inputs.q.f32()[i] *= 1000;
  const auto result = Run(c, inputs);
  EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), Reference(c, inputs)), 1e-3);
}

EMU_TEST(ARowWhoseBiasHidesEveryKeyGivesZerosAndNaNStaysNaN) {
  const Case c = {1, 2, 150, 1, 1, 8, false, true};
  test::Random random(3);
  Inputs inputs(c, random);
  std::fill_n(inputs.bias.f32(), 150, -INFINITY);
  auto out = Run(c, inputs).outputs[0].Floats();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(out[i], 0.0f);
  EXPECT_LE(test::RelativeError(out, Reference(c, inputs)), 2e-6);
  inputs.k.f32()[140 * 8] = NAN;
  EXPECT_TRUE(std::isnan(Run(c, inputs).outputs[0].Floats()[8]));
}

EMU_TEST(RefusesShapesThatDoNotFit) {
  const auto message = [](Tensor q, Tensor k, Tensor v) {
    return test::RunCall("attention", {&q, &k, &v, nullptr}, {q.type}, {{"scale", 1.0}, {"causal", 0.0}})
        .status.message();
  };
  const auto tensor = [](std::initializer_list<int64_t> sides) { return Tensor(test::F32Type(sides)); };
  EXPECT_EQ(message(tensor({1, 2, 3, 4}), tensor({1, 5, 2, 4}), tensor({1, 5, 2, 4})),
            "[attention] 3 query heads are not a multiple of 2 key heads: got f32[1,2,3,4], f32[1,5,2,4], "
            "f32[1,5,2,4], _");
  EXPECT_EQ(message(tensor({1, 2, 2, 4}), tensor({1, 5, 2, 8}), tensor({1, 5, 2, 8})),
            "[attention] K is 4 in q but 8 in k: got f32[1,2,2,4], f32[1,5,2,8], f32[1,5,2,8], _");
}

EMU_TEST(EmptySidesGiveEmptyOrZeroResults) {
  test::Random random(1);
  for (const Case& c : {Case{0, 3, 4, 2, 2, 8}, Case{1, 0, 4, 2, 1, 8}, Case{1, 3, 4, 0, 2, 8},
                        Case{2, 3, 0, 2, 2, 8}, Case{1, 3, 4, 2, 2, 0}}) {
    const Inputs inputs(c, random);
    const auto result = Run(c, inputs);
    EXPECT_EQ(result.status.message(), "");
    for (float value : result.outputs[0].Floats()) EXPECT_EQ(value, 0.0f);
  }
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
