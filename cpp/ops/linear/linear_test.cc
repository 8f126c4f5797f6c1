#include "ops/linear/linear.h"

#include "base/gemm/packing.h"
#include "base/test_call.h"

namespace emu {
namespace {

using test::Tensor;

// A weight as the session stores it at load: packed, its type still that of the plain weight.
Tensor Packed(const Tensor& weight) {
  const Isa isa = DetectIsa();
  const int64_t outputs = weight.type.shape[0], width = weight.type.shape[1];
  Tensor packed(weight.type);
  packed.bytes = test::Bytes(PackedBytes(isa, weight.type.dtype, outputs, width));
  PackPanels(isa, weight.type.dtype, weight.bytes.data(), outputs, width, {0, PanelCount(isa, outputs)},
             packed.bytes.data());
  return packed;
}

Tensor RandomWeight(DType dtype, int64_t outputs, int64_t width, test::Random& random) {
  const std::vector<float> values = random.Floats(outputs * width);
  return dtype == DType::kBf16 ? test::ValuesBf16({outputs, width}, values)
                               : test::Values({outputs, width}, values);
}

struct Case {
  Tensor x, weight;
  const Tensor* bias = nullptr;
  const Tensor* residual = nullptr;
  std::string activation = "none";
};

test::CallResult Run(const Case& c, const Tensor& weight, test::CallOptions options = {}) {
  const TensorType out = test::F32Type({c.x.type.shape[0], c.weight.type.shape[0]});
  return test::RunCall("linear", {&c.x, &weight, c.bias, c.residual}, {out}, {{"activation", c.activation}},
                       options);
}

Tensor RunPacked(const Case& c, int threads = 2) {
  test::CallOptions options;
  options.threads = threads;
  options.layouts = {Layout::kPlain, Layout::kLinear, Layout::kPlain, Layout::kPlain};
  test::CallResult result = Run(c, Packed(c.weight), options);
  EXPECT_EQ(result.status.message(), "");
  return result.outputs[0];
}

double ActivateExactly(const std::string& name, double x) {
  if (name == "gelu") return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
  if (name == "quickGelu") return x / (1 + std::exp(-1.702 * x));
  if (name == "relu") return std::fmax(x, 0);
  if (name == "silu") return x / (1 + std::exp(-x));
  return x;
}

std::vector<float> Reference(const Case& c) {
  const std::vector<float> x = c.x.Floats(), weight = c.weight.Floats();
  const int64_t rows = c.x.type.shape[0], width = c.x.type.shape[1], outputs = c.weight.type.shape[0];
  std::vector<float> out;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < outputs; ++column) {
      double sum = 0;
      for (int64_t k = 0; k < width; ++k) {
        const float value = x[row * width + k];
        const float rounded = c.weight.type.dtype == DType::kBf16 ? ToFloat(ToBf16(value)) : value;
        sum += double(rounded) * weight[column * width + k];
      }
      if (c.bias != nullptr) sum += c.bias->Floats()[column];
      double value = ActivateExactly(c.activation, sum);
      if (c.residual != nullptr) value += c.residual->Floats()[row * outputs + column];
      out.push_back(static_cast<float>(value));
    }
  }
  return out;
}

EMU_TEST(AgreesWithPlainLoopsAtAwkwardSizesWhetherPackedAtLoadOrInTheCall) {
  uint64_t seed = 0;
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    for (int64_t rows : {0, 1, 2, 5, 7, 8, 9, 37}) {
      for (int64_t outputs : {0, 1, 5, 16, 47, 48, 49, 100}) {
        for (int64_t width : {0, 1, 2, 3, 31, 77, 513, 1027}) {
          test::Random random(++seed);
          const Case c = {test::RandomValues({rows, width}, random),
                          RandomWeight(dtype, outputs, width, random)};
          const Tensor packed = RunPacked(c);
          const auto plain = Run(c, c.weight);
          EXPECT_TRUE(plain.status.ok() && plain.outputs[0] == packed);
          EXPECT_LE(test::RelativeError(packed.Floats(), Reference(c)), 3e-6);
        }
      }
    }
  }
}

// The widths and rows of a tile of 16 rows by 32 values of bf16, and one less and one more.
EMU_TEST(AgreesWithPlainLoopsAroundTheSizesOfATile) {
  uint64_t seed = 1000;
  for (int64_t rows : {1, 15, 16, 17, 31, 32, 33, 47, 65}) {
    for (int64_t outputs : {15, 16, 17, 48, 64, 97}) {
      for (int64_t width : {1, 31, 32, 33, 63, 64, 65, 1023, 1025}) {
        test::Random random(++seed);
        const Case c = {test::RandomValues({rows, width}, random),
                        RandomWeight(DType::kBf16, outputs, width, random)};
        const Tensor packed = RunPacked(c);
        EXPECT_TRUE(Run(c, c.weight).outputs[0] == packed);
        EXPECT_LE(test::RelativeError(packed.Floats(), Reference(c)), 3e-6);
      }
    }
  }
}

// What lies beside a row or a panel in memory is multiplied by no zero on the way.
EMU_TEST(NaNAndInfinityStayInTheirOwnRowAndOutput) {
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    for (int64_t rows : {1, 15, 17, 33, 70}) {
      for (int64_t width : {1, 31, 33, 48, 63, 1025}) {
        for (int64_t outputs : {47, 48, 97}) {
          test::Random random(static_cast<uint64_t>(rows * width + outputs));
          std::vector<float> x = random.Floats(rows * width), weight = random.Floats(outputs * width);
          const int64_t bad_row = rows / 2, bad_output = outputs - 1;
          for (int64_t k = 0; k < width; ++k) x[bad_row * width + k] = k % 2 == 0 ? NAN : INFINITY;
          for (int64_t k = 0; k < width; ++k) weight[bad_output * width + k] = k % 2 == 0 ? INFINITY : NAN;
          const Tensor packed = dtype == DType::kBf16 ? test::ValuesBf16({outputs, width}, weight)
                                                      : test::Values({outputs, width}, weight);
          const std::vector<float> out = RunPacked({test::Values({rows, width}, x), packed}).Floats();
          bool right = true;
          for (int64_t row = 0; row < rows; ++row) {
            for (int64_t output = 0; output < outputs; ++output) {
              const bool finite = std::isfinite(out[row * outputs + output]);
              right = right && finite == (row != bad_row && output != bad_output);
            }
          }
          EXPECT_TRUE(right);
        }
      }
    }
  }
}

EMU_TEST(AppliesBiasThenActivationThenResidual) {
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    for (const char* activation : {"none", "gelu", "quickGelu", "relu", "silu"}) {
      for (int64_t rows : {1, 9, 30}) {
        test::Random random(static_cast<uint64_t>(rows));
        const Tensor bias = test::RandomValues({101}, random),
                     residual = test::RandomValues({rows, 101}, random);
        Case c = {test::RandomValues({rows, 65}, random), RandomWeight(dtype, 101, 65, random), &bias,
                  nullptr, activation};
        EXPECT_LE(test::RelativeError(RunPacked(c).Floats(), Reference(c)), 1e-6);
        c.residual = &residual;
        EXPECT_LE(test::RelativeError(RunPacked(c).Floats(), Reference(c)), 1e-6);
        c.bias = nullptr;
        EXPECT_LE(test::RelativeError(RunPacked(c).Floats(), Reference(c)), 1e-6);
      }
    }
  }
}

EMU_TEST(ARowAloneIsBitEqualToTheSameRowAmongOthers) {
  constexpr int64_t kWidth = 1303, kOutputs = 131;
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    test::Random random(11);
    const Tensor x = test::RandomValues({513, kWidth}, random), bias = test::RandomValues({kOutputs}, random);
    const Tensor residual = test::RandomValues({513, kOutputs}, random);
    const Tensor weight = RandomWeight(dtype, kOutputs, kWidth, random);
    const auto rows_from = [&](const Tensor& all, int64_t begin, int64_t count) {
      const std::vector<float> values = all.Floats();
      const int64_t width = all.type.shape[1];
      return test::Values({count, width},
                          {values.begin() + begin * width, values.begin() + (begin + count) * width});
    };
    const std::vector<float> all = RunPacked({x, weight, &bias, &residual, "gelu"}).Floats();
    for (int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 200}) {
      for (int64_t begin : {int64_t{0}, int64_t{100}, 513 - count}) {
        const Tensor some = rows_from(residual, begin, count);
        const auto part = RunPacked({rows_from(x, begin, count), weight, &bias, &some, "gelu"}).Floats();
        EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + begin * kOutputs));
      }
    }
  }
}

EMU_TEST(ThreadsNeverChangeABit) {
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    test::Random random(3);
    const Case c = {test::RandomValues({201, 600}, random), RandomWeight(dtype, 333, 600, random)};
    const Tensor one = RunPacked(c, 1);
    for (int threads : {2, 3, 8, 64}) EXPECT_TRUE(RunPacked(c, threads) == one);
  }
}

// Through an identity weight the activations meet chosen values.
EMU_TEST(ActivationsAreExactToThreeTenMillionthsAndKeepNaN) {
  std::vector<float> values;
  for (int i = -4000; i <= 4000; ++i) values.push_back(static_cast<float>(i) * 0.003f);
  for (float extreme : {-1e30f, -120.0f, -88.0f, 88.0f, 120.0f, 1e30f}) values.push_back(extreme);
  const int64_t rows = static_cast<int64_t>(values.size());
  for (const char* activation : {"gelu", "quickGelu", "relu", "silu"}) {
    const Case c = {test::Values({rows, 1}, values), test::Values({1, 1}, {1}), nullptr, nullptr, activation};
    const std::vector<float> out = RunPacked(c).Floats();
    for (size_t i = 0; i < values.size(); ++i) {
      const double exact = ActivateExactly(activation, values[i]);
      EXPECT_LE(std::abs(out[i] - exact) / std::fmax(1, std::abs(exact)), 3e-7);
    }
    const Case nan = {test::Values({1, 1}, {NAN}), test::Values({1, 1}, {1}), nullptr, nullptr, activation};
    EXPECT_TRUE(std::isnan(RunPacked(nan).Floats()[0]));
  }
}

EMU_TEST(SaysWhatDoesNotFit) {
  test::Random random(1);
  const Tensor x = test::RandomValues({2, 8}, random), narrow = test::RandomValues({3, 7}, random);
  const Tensor weight = test::RandomValues({3, 8}, random);
  const auto refusal = [&](const Tensor& used, const Tensor* bias, int64_t outputs, const char* activation,
                           const test::CallOptions& options = {}) {
    return test::RunCall("linear", {&x, &used, bias, nullptr}, {test::F32Type({2, outputs})},
                         {{"activation", std::string(activation)}}, options)
        .status.message();
  };
  EXPECT_EQ(refusal(weight, nullptr, 3, "none"), "");
  EXPECT_EQ(refusal(weight, nullptr, 3, "tanh"),
            "[linear] activation \"tanh\" is not none, gelu, quickGelu, relu or silu");
  EXPECT_EQ(refusal(weight, nullptr, 4, "none"),
            "[linear] makes f32[2,3], the program declares f32[2,4]: got f32[2,8], f32[3,8], _, _");
  for (const std::string& text : {refusal(narrow, nullptr, 3, "none"), refusal(weight, &x, 3, "none")}) {
    EXPECT_TRUE(text.find("[linear] ") == 0 && text.find("f32[2,8]") != std::string::npos);
  }
  test::CallOptions options;
  options.layouts = {Layout::kPlain, Layout::kConvolution, Layout::kPlain, Layout::kPlain};
  EXPECT_EQ(refusal(weight, nullptr, 3, "none", options),
            "[linear] weight is packed for a convolution: got f32[2,8], f32[3,8], _, _");
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
