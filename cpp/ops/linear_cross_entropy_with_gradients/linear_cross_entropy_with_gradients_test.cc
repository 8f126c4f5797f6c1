#include "base/test_call.h"

namespace emu {
namespace {

using test::RunCall;
using test::Tensor;

struct Case {
  Tensor state, x, weight, target, dy;
  std::string precision;
};

Case Random(int64_t rows, int64_t width, int64_t vocabulary, const char* precision) {
  test::Random random(static_cast<uint64_t>(rows * 7 + width + vocabulary));
  std::vector<int32_t> target;
  for (int64_t row = 0; row < rows; ++row) {
    target.push_back(row % 5 == 3 ? -100 : static_cast<int32_t>(row * 31 % vocabulary));
  }
  return {test::RandomValues({vocabulary, width}, random),
          test::RandomValues({rows, width}, random),
          test::RandomValues({vocabulary, width}, random),
          test::Indices({rows}, target),
          test::RandomValues({rows}, random),
          precision};
}

test::CallResult Run(const Case& c, const test::CallOptions& options = {}) {
  return RunCall("linearCrossEntropyWithGradients", {&c.state, &c.x, &c.weight, &c.target, &c.dy},
                 {c.state.type, c.dy.type, c.x.type}, {{"precision", c.precision}}, options);
}

// The calls that it stands for.
test::CallResult Composed(const Case& c) {
  const Tensor weight = c.precision == "f32" ? c.weight : [&] {
    return RunCall("cast", {&c.weight}, {[&] {
                     TensorType type = c.weight.type;
                     type.dtype = DType::kBf16;
                     return type;
                   }()},
                   {{"dtype", std::string("bf16")}})
        .outputs[0];
  }();
  const TensorType logit_type = test::F32Type({c.x.type.shape[0], c.weight.type.shape[0]});
  const Tensor logits = RunCall("linear", {&c.x, &weight, nullptr, nullptr}, {logit_type},
                                {{"activation", std::string("none")}})
                            .outputs[0];
  const Tensor losses = RunCall("crossEntropy", {&logits, &c.target}, {c.dy.type}, {}).outputs[0];
  const Tensor gradient =
      RunCall("crossEntropyGradient", {&logits, &c.target, &c.dy}, {logit_type}, {}).outputs[0];
  const auto options = [&](double transpose) {
    return std::map<std::string, AttributeValue>{
        {"transposeA", transpose}, {"transposeB", 0.0}, {"precision", c.precision}};
  };
  const Tensor dx = RunCall("matmul", {&gradient, &weight}, {c.x.type}, options(0)).outputs[0];
  const Tensor state =
      RunCall("accumulateMatmul", {&c.state, &gradient, &c.x}, {c.state.type}, options(1)).outputs[0];
  return {Status(), {state, losses, dx}};
}

EMU_TEST(HasTheBitsOfTheCallsThatItStandsFor) {
  struct Sides {
    int64_t rows, width, vocabulary;
  };
  const Sides sizes[] = {{0, 3, 5}, {1, 1, 1}, {5, 3, 7}, {17, 33, 47}, {40, 65, 131}, {200, 50, 1003}};
  for (const Sides& size : sizes) {
    for (const char* precision : {"f32", "bf16"}) {
      const Case c = Random(size.rows, size.width, size.vocabulary, precision);
      const auto expected = Composed(c);
      for (int threads : {1, 2, 5}) {
        const auto result = Run(c, {.threads = threads, .order = static_cast<uint64_t>(threads)});
        EXPECT_EQ(result.status.message(), "");
        for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(result.outputs[i] == expected.outputs[i]);
      }
    }
  }
}

// A vocabulary that makes 16 MiB of logits of fewer rows than there are.
EMU_TEST(TakesRowsPieceByPiece) {
  for (const char* precision : {"f32", "bf16"}) {
    const Case c = Random(300, 9, 32771, precision);
    const auto expected = Composed(c), result = Run(c);
    EXPECT_TRUE(result.outputs[1] == expected.outputs[1]);
    EXPECT_TRUE(result.outputs[2] == expected.outputs[2]);
    EXPECT_LE(test::RelativeError(result.outputs[0].Floats(), expected.outputs[0].Floats()), 1e-6);
    EXPECT_TRUE(Run(c, {.threads = 3}).outputs[0] == result.outputs[0]);
  }
}

EMU_TEST(RefusesATargetBeyondTheVocabularyAndAnotherState) {
  Case c = Random(2, 3, 5, "f32");
  c.target = test::Indices({2}, {0, 5});
  EXPECT_EQ(Run(c).status.message(), "[linearCrossEntropyWithGradients] target 5 at row 1 is not in 0..4");
  test::Random random(1);
  c.state = test::RandomValues({4, 3}, random);
  EXPECT_TRUE(Run(c).status.code() == Code::kShapeMismatch);
}

}  // namespace
}  // namespace emu

EMU_TEST_MAIN()
