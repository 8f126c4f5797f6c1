#include "ops/attention_gradient/attention_gradient.h"

#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

struct Case {
  int64_t batch, queries, keys, heads, key_heads, width;
  bool causal = false, bias = false, packed = false;
};

struct Inputs {
  Tensor q, k, v, bias, first_key, out, dout;
  Inputs(const Case& c, test::Random& random)
      : q(test::RandomValues({c.batch, c.queries, c.heads, c.width}, random)),
        k(test::RandomValues({c.batch, c.keys, c.key_heads, c.width}, random)),
        v(test::RandomValues({c.batch, c.keys, c.key_heads, c.width}, random)),
        bias(test::RandomValues({c.heads, c.queries, c.keys}, random)),
        first_key(test::Type(DType::kI32, {c.batch, c.queries})),
        out(test::F32Type({c.batch, c.queries, c.heads, c.width})),
        dout(test::RandomValues({c.batch, c.queries, c.heads, c.width}, random)) {
    for (int64_t i = 0; i < c.batch * c.queries; ++i) {
      first_key.i32()[i] = static_cast<int32_t>(random.Next() % static_cast<uint64_t>(c.keys + 1));
    }
    const auto forward = test::RunCall("attention", Optional(c, {&q, &k, &v}), {q.type}, Attributes(c));
    if (forward.status.ok()) out = forward.outputs[0];
  }

  std::vector<const Tensor*> Optional(const Case& c, std::vector<const Tensor*> list) const {
    list.push_back(c.bias ? &bias : nullptr);
    list.push_back(c.packed ? &first_key : nullptr);
    return list;
  }
  static std::map<std::string, AttributeValue> Attributes(const Case& c) {
    return {{"scale", Scale(c)}, {"causal", c.causal ? 1.0 : 0.0}};
  }
  static double Scale(const Case& c) { return 2 / std::sqrt(std::max<int64_t>(c.width, 1)); }
};

test::CallResult Run(const Case& c, const Inputs& inputs, const test::CallOptions& options = {}) {
  auto list = inputs.Optional(c, {&inputs.q, &inputs.k, &inputs.v});
  list.push_back(&inputs.out);
  list.push_back(&inputs.dout);
  std::vector<TensorType> types = {inputs.q.type, inputs.k.type, inputs.v.type};
  if (c.bias) types.push_back(inputs.bias.type);
  return test::RunCall("attentionGradient", list, types, Inputs::Attributes(c), options);
}

// Plain loops in double precision: dq, dk, dv, dbias.
std::vector<std::vector<float>> Reference(const Case& c, const Inputs& in) {
  const double scale = Inputs::Scale(c);
  std::vector<std::vector<double>> sums(4);
  for (const auto& [index, type] :
       {std::pair(0, in.q.type), {1, in.k.type}, {2, in.v.type}, {3, in.bias.type}}) {
    sums[static_cast<size_t>(index)].resize(static_cast<size_t>(type.shape.elements()));
  }
  for (int64_t row = 0; row < c.batch * c.queries * c.heads; ++row) {
    const int64_t h = row % c.heads, t = row / c.heads % c.queries, b = row / c.heads / c.queries;
    const int64_t begin = c.packed ? in.first_key.i32()[b * c.queries + t] : 0;
    const int64_t end = c.causal ? std::max<int64_t>(t + c.keys - c.queries + 1, 0) : c.keys;
    const int64_t query = row * c.width, bias = (h * c.queries + t) * c.keys;
    const auto key_at = [&](int64_t s) {
      return ((b * c.keys + s) * c.key_heads + h / (c.heads / c.key_heads)) * c.width;
    };
    const auto dot = [&](const float* a, const float* other) {
      double sum = 0;
      for (int64_t i = 0; i < c.width; ++i) sum += double(a[i]) * other[i];
      return sum;
    };
    std::vector<double> weights(static_cast<size_t>(c.keys)), dweights(static_cast<size_t>(c.keys));
    double largest = -INFINITY, total = 0, mean = 0;
    for (int64_t s = begin; s < end; ++s) {
      weights[s] =
          scale * dot(in.q.f32() + query, in.k.f32() + key_at(s)) + (c.bias ? in.bias.f32()[bias + s] : 0);
      largest = std::max(largest, weights[s]);
    }
    if (largest == -INFINITY) continue;
    for (int64_t s = begin; s < end; ++s) total += weights[s] = std::exp(weights[s] - largest);
    for (int64_t s = begin; s < end; ++s) {
      weights[s] /= total;
      dweights[s] = dot(in.dout.f32() + query, in.v.f32() + key_at(s));
      mean += weights[s] * dweights[s];
    }
    for (int64_t s = begin; s < end; ++s) {
      const double dscore = weights[s] * (dweights[s] - mean);
      sums[3][bias + s] += dscore;
      for (int64_t i = 0; i < c.width; ++i) {
        sums[0][query + i] += scale * dscore * in.k.f32()[key_at(s) + i];
        sums[1][key_at(s) + i] += scale * dscore * in.q.f32()[query + i];
        sums[2][key_at(s) + i] += weights[s] * in.dout.f32()[query + i];
      }
    }
  }
  std::vector<std::vector<float>> out;
  for (const auto& sum : sums) out.emplace_back(sum.begin(), sum.end());
  return out;
}

constexpr Case kCases[] = {
    {1, 1, 1, 1, 1, 1},
    {2, 7, 5, 2, 2, 3},
    {1, 13, 257, 2, 2, 88},
    {1, 257, 257, 2, 2, 16, true},
    {1, 300, 300, 1, 1, 40, true, true},
    {3, 70, 129, 4, 2, 64, true, true},
    {2, 33, 127, 6, 2, 80},
    {1, 5, 128, 8, 1, 128},
    {2, 50, 131, 1, 1, 160, false, true},
    {1, 61, 260, 1, 1, 33},
    {1, 9, 4, 2, 1, 17, true},  // the first five queries see no key
    {1, 7, 1100, 1, 1, 8},      // blocks of fewer rows
    {2, 100, 100, 4, 2, 32, true, false, true},
    {2, 60, 203, 2, 2, 24, false, true, true},
};

EMU_TEST(AgreesWithPlainLoopsAtAwkwardSizes) {
  for (const Case& c : kCases) {
    test::Random random(c.width * 7 + c.keys);
    const Inputs inputs(c, random);
    const auto result = Run(c, inputs);
    EXPECT_EQ(result.status.message(), "");
    const auto expected = Reference(c, inputs);
    for (size_t output = 0; output < result.outputs.size(); ++output) {
      // One key gives a softmax of 1 and gradients of 0, which only rounding fills.
      if (c.keys == 1 && output < 2) continue;
      EXPECT_LE(test::RelativeError(result.outputs[output].Floats(), expected[output]), 4e-6);
    }
  }
}

EMU_TEST(ThreadsAndTaskOrderDoNotChangeABit) {
  for (const Case& c : kCases) {
    test::Random random(c.keys);
    const Inputs inputs(c, random);
    const auto one = Run(c, inputs, {.threads = 1, .order = 1});
    for (int threads : {2, 5}) {
      const auto other = Run(c, inputs, {.threads = threads, .order = 7u + threads});
      for (size_t output = 0; output < one.outputs.size(); ++output) {
        EXPECT_TRUE(one.outputs[output] == other.outputs[output]);
      }
    }
  }
}

EMU_TEST(AFirstKeyBeyondTheKeysIsRefused) {
  const Case c = {1, 3, 4, 1, 1, 8, false, false, true};
  test::Random random(1);
  Inputs inputs(c, random);
  for (int32_t wrong : {-1, 5}) {
    inputs.first_key.i32()[1] = wrong;
    EXPECT_EQ(Run(c, inputs).status.message(),
              "[attentionGradient] firstKey " + std::to_string(wrong) + " at row 1 is not in 0..4");
  }
}

EMU_TEST(ABiasThatHidesAllKeysHasNoGradient) {
  const Case c = {1, 2, 50, 1, 1, 8, false, true};
  test::Random random(3);
  Inputs inputs(c, random);
  std::fill_n(inputs.bias.f32(), 50, -INFINITY);
  const auto result = Run(c, inputs);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(result.outputs[0].f32()[i], 0.0f);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(result.outputs[3].f32()[i], 0.0f);
}

EMU_TEST(EmptySidesGiveZeros) {
  test::Random random(1);
  for (const Case& c : {Case{0, 3, 4, 2, 2, 8, false, true}, Case{1, 0, 4, 2, 1, 8}, Case{1, 3, 4, 0, 2, 8},
                        Case{2, 3, 0, 2, 2, 8}, Case{1, 3, 4, 2, 2, 0, false, true}}) {
    const Inputs inputs(c, random);
    const auto result = Run(c, inputs);
    EXPECT_EQ(result.status.message(), "");
    for (const Tensor& output : result.outputs) {
      for (float value : output.Floats()) EXPECT_EQ(value, 0.0f);
    }
  }
}

EMU_TEST(RefusesOutputsThatDoNotFit) {
  const Case c = {1, 2, 3, 1, 1, 4, false, true};
  test::Random random(1);
  const Inputs in(c, random);
  const auto message = [&](const std::vector<TensorType>& types) {
    return test::RunCall("attentionGradient", {&in.q, &in.k, &in.v, &in.bias, nullptr, &in.out, &in.dout},
                         types, Inputs::Attributes(c))
        .status.message();
  };
  EXPECT_TRUE(message({in.q.type, in.k.type, in.v.type}).find("makes 4 outputs, not 3") != std::string::npos);
  EXPECT_TRUE(
      message({in.q.type, in.k.type, in.q.type, in.bias.type}).find("makes f32[1,3,1,4], the program") !=
      std::string::npos);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
