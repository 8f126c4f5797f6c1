#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

struct Case {
  Tensor a, b;
  bool transpose_a, transpose_b;
  std::string precision = "f32";

  int64_t rows() const { return a.type.shape[transpose_a ? 1 : 0]; }
  int64_t width() const { return a.type.shape[transpose_a ? 0 : 1]; }
  int64_t columns() const { return b.type.shape[transpose_b ? 0 : 1]; }
};

Tensor Random(DType dtype, int64_t rows, int64_t columns, bool transposed, test::Random& random) {
  if (transposed) std::swap(rows, columns);
  const std::vector<float> values = random.Floats(rows * columns);
  return dtype == DType::kBf16 ? test::ValuesBf16({rows, columns}, values)
                               : test::Values({rows, columns}, values);
}

test::CallResult Run(const Case& c, const test::CallOptions& options = {}) {
  return test::RunCall("matmul", {&c.a, &c.b}, {test::F32Type({c.rows(), c.columns()})},
                       {{"transposeA", c.transpose_a ? 1.0 : 0.0},
                        {"transposeB", c.transpose_b ? 1.0 : 0.0},
                        {"precision", c.precision}},
                       options);
}

std::vector<float> Reference(const Case& c) {
  std::vector<float> a = c.a.Floats(), b = c.b.Floats(), out;
  if (c.precision == "bf16") {
    for (float& value : a) value = ToFloat(ToBf16(value));
    for (float& value : b) value = ToFloat(ToBf16(value));
  }
  for (int64_t m = 0; m < c.rows(); ++m) {
    for (int64_t n = 0; n < c.columns(); ++n) {
      double sum = 0;
      for (int64_t k = 0; k < c.width(); ++k) {
        sum += double(a[c.transpose_a ? k * c.rows() + m : m * c.width() + k]) *
               b[c.transpose_b ? n * c.width() + k : k * c.columns() + n];
      }
      out.push_back(static_cast<float>(sum));
    }
  }
  return out;
}

struct Sides {
  int64_t rows, width, columns;
};

EMU_TEST(AgreesWithPlainLoopsInEveryLayoutDtypeAndPrecision) {
  const Sides sizes[] = {{0, 3, 2},    {1, 1, 1},     {2, 0, 3},     {3, 2, 0},    {5, 3, 7},
                         {8, 16, 48},  {9, 17, 49},   {7, 33, 15},   {23, 65, 31}, {17, 513, 65},
                         {40, 64, 97}, {200, 31, 50}, {33, 1027, 5}, {1, 130, 40}, {16, 32, 48},
                         {17, 33, 47}, {31, 63, 16},  {33, 1, 64}};
  uint64_t seed = 0;
  for (const Sides& size : sizes) {
    for (int layout = 0; layout < 4; ++layout) {
      for (int dtypes = 0; dtypes < 4; ++dtypes) {
        for (const char* precision : {"f32", "bf16"}) {
          test::Random random(++seed);
          const bool transpose_a = layout & 1, transpose_b = layout & 2;
          const Case c = {
              Random(dtypes & 1 ? DType::kBf16 : DType::kF32, size.rows, size.width, transpose_a, random),
              Random(dtypes & 2 ? DType::kBf16 : DType::kF32, size.width, size.columns, transpose_b, random),
              transpose_a, transpose_b, precision};
          const auto result = Run(c);
          EXPECT_EQ(result.status.message(), "");
          if (!result.status.ok()) continue;
          EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), Reference(c)), 3e-6);
        }
      }
    }
  }
}

Tensor Transposed(const Tensor& matrix) {
  const int64_t rows = matrix.type.shape[0], columns = matrix.type.shape[1];
  std::vector<float> values;
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) values.push_back(matrix.f32()[row * columns + column]);
  }
  return test::Values({columns, rows}, values);
}

EMU_TEST(LayoutsAndThreadsNeverChangeABit) {
  for (const char* precision : {"f32", "bf16"}) {
    test::Random random(5);
    const Tensor a = test::RandomValues({203, 1301}, random), b = test::RandomValues({1301, 117}, random);
    const Tensor at = Transposed(a), bt = Transposed(b);
    const Tensor expected = Run({a, b, false, false, precision}).outputs[0];
    for (int threads : {1, 2, 3, 16}) {
      test::CallOptions options;
      options.threads = threads;
      options.order = static_cast<uint64_t>(threads);
      EXPECT_TRUE(Run({a, b, false, false, precision}, options).outputs[0] == expected);
      EXPECT_TRUE(Run({at, b, true, false, precision}, options).outputs[0] == expected);
      EXPECT_TRUE(Run({a, bt, false, true, precision}, options).outputs[0] == expected);
      EXPECT_TRUE(Run({at, bt, true, true, precision}, options).outputs[0] == expected);
    }
    // A product with op(b) transposed is linear's product.
    const Tensor weight = std::string(precision) == "bf16" ? test::ValuesBf16({117, 1301}, bt.Floats()) : bt;
    const auto linear = test::RunCall("linear", {&a, &weight, nullptr, nullptr}, {expected.type},
                                      {{"activation", std::string("none")}});
    EXPECT_TRUE(linear.outputs[0] == expected);
  }
}

EMU_TEST(KeepsNaNAndInfinityInBothPrecisions) {
  for (const char* precision : {"f32", "bf16"}) {
    for (int layout = 0; layout < 4; ++layout) {
      std::vector<float> values(64, 1.0f);
      values[0] = NAN;
      const Tensor a = test::Values({8, 8}, values);
      const Tensor b = test::Values({8, 8}, std::vector<float>(64, 3e38f));
      const auto out = Run({a, b, (layout & 1) != 0, (layout & 2) != 0, precision}).outputs[0].Floats();
      for (int i = 0; i < 64; ++i) EXPECT_TRUE(i < 8 ? std::isnan(out[i]) : std::isinf(out[i]));
      const auto other = Run({b, a, (layout & 1) != 0, (layout & 2) != 0, precision}).outputs[0].Floats();
      for (int i = 0; i < 64; ++i) EXPECT_TRUE(i % 8 == 0 ? std::isnan(other[i]) : std::isinf(other[i]));
    }
  }
}

EMU_TEST(SaysWhatDoesNotFit) {
  test::Random random(1);
  Case c = {test::RandomValues({2, 3}, random), test::RandomValues({4, 5}, random), false, false};
  EXPECT_EQ(Run(c).status.message(), "[matmul] the inner side is 3 in a but 4 in b: got f32[2,3], f32[4,5]");
  c.b = test::RandomValues({3, 5}, random);
  c.precision = "f16";
  EXPECT_EQ(Run(c).status.message(), "[matmul] precision \"f16\" is not one of f32, bf16");
  const auto flag =
      test::RunCall("matmul", {&c.a, &c.b}, {test::F32Type({2, 5})},
                    {{"transposeA", 2.0}, {"transposeB", 0.0}, {"precision", std::string("f32")}});
  EXPECT_EQ(flag.status.message(), "[matmul] transposeA 2 is not 0 or 1");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
