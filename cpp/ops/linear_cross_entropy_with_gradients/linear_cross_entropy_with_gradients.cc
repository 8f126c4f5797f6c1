#include "ops/linear_cross_entropy_with_gradients/linear_cross_entropy_with_gradients.h"

#include <algorithm>

#include "base/call_checks.h"
#include "base/gemm/gemm.h"
#include "base/gemm/packing.h"
#include "base/gemm/precision.h"
#include "base/gemm/row_matrix.h"
#include "base/targets.h"

namespace emu {
namespace {

// Logits that are there at once. More of them would read the weight less often: below some hundred rows,
// rounding and packing it takes a good part of the time of its products.
constexpr int64_t kLogitBytes = 16 << 20;
constexpr int64_t kLeastRows = 128;
// What a task packs of the weight should stay in the second-level cache; few panels would have the task copy
// its rows of x too often.
constexpr int64_t kPackedBytes = 1 << 20;
constexpr int64_t kLeastPanels = 2, kMostPanels = 8;
// Rows of x that a task copies at a time, as in other products.
constexpr int64_t kCopiedRows = 192;

// One piece of rows: the phases, the tasks of each, and how a task does its part.
class Piece {
 public:
  Piece(Isa isa, int threads, DType precision, int64_t rows, int64_t width, int64_t vocabulary)
      : isa_(isa),
        rows_(rows),
        logits_{rows, vocabulary, width, precision},
        dx_{rows, width, vocabulary, precision},
        sum_{vocabulary, width, rows, precision},
        panel_bytes_(PanelBytes(isa, precision, width)),
        panels_(std::clamp(kPackedBytes / std::max<int64_t>(1, panel_bytes_), kLeastPanels, kMostPanels)),
        losses_(SplitFloats(rows, std::max<int64_t>(1, vocabulary), threads)),
        packing_(SplitPacking(isa, true, width, rows, threads)),
        dx_split_(SplitGemm(isa, dx_, threads, true)),
        sum_split_(SplitGemm(isa, sum_, threads)) {}

  static constexpr int kPhases = 3;

  void AddPhases(std::vector<int64_t>* tasks) const {
    const int64_t panels = PanelCount(isa_, logits_.outputs);
    tasks->push_back((panels + panels_ - 1) / panels_);
    tasks->push_back(losses_.tasks + packing_.tasks);
    tasks->push_back(dx_split_.tasks() + sum_split_.tasks());
  }

  int64_t logit_bytes() const { return (rows_ * logits_.outputs * 4 + 63) / 64 * 64; }
  int64_t shared_bytes() const { return logit_bytes() + PackedBytes(isa_, sum_.weight, sum_.outputs, rows_); }
  int64_t thread_bytes() const {
    const int64_t logits =
        panels_ * panel_bytes_ +
        GemmKernelsFor(isa_, logits_.weight).scratch_bytes(logits_, std::min(rows_, kCopiedRows), 0);
    return std::max(
        {logits, dx_split_.scratch_bytes, sum_split_.scratch_bytes + SumScratchBytes(isa_, sum_split_)});
  }

  // What a task works on, x, target, dy, losses and dx from the first row of the piece on.
  struct Operands {
    const float* x;
    const float* weight;
    const int32_t* target;
    const float* dy;
    float* state;
    float* losses;
    float* dx;
    float* logits;
    char* packed_x;
    void* scratch;
  };

  void Run(const Operands& at, int phase, int64_t task) const {
    if (phase == 0) return Logits(at, task);
    if (phase == 1) {
      if (task < losses_.tasks) {
        return linear_cross_entropy_with_gradients_for(isa_).rows(
            logits_.outputs, at.target, at.dy, losses_.rows(task, rows_), at.logits, at.losses);
      }
      const PlainMatrix x = {at.x, DType::kF32, logits_.width, true};
      return RunPackingTask(isa_, sum_.weight, x, sum_.outputs, rows_, packing_, task - losses_.tasks,
                            at.packed_x);
    }
    if (task < dx_split_.tasks()) return InputGradient(at, task);
    WeightGradient(at, task - dx_split_.tasks());
  }

 private:
  // Some columns of the logits: each weight row is packed once, by the task that multiplies by it.
  void Logits(const Operands& at, int64_t task) const {
    const int64_t panel_rows = pack_kernels_for(isa_).panel_rows, first = task * panels_ * panel_rows;
    const int64_t columns = std::min(panels_ * panel_rows, logits_.outputs - first);
    const GemmShape own = {rows_, columns, logits_.width, logits_.weight};
    const PlainMatrix weight = {at.weight + first * own.width, DType::kF32, own.width, false};
    const int64_t panels = PanelCount(isa_, columns);
    RunPackingTask(isa_, own.weight, weight, columns, own.width, {panels, 1}, 0, at.scratch);
    const RowMatrix x = {at.x, own.width};
    GemmOperands operands = {};
    operands.left.rows = {RowPiece, &x};
    operands.packed = at.scratch;
    operands.activation = ActivationKind::kNone;
    operands.out = at.logits + first;
    operands.out_stride = logits_.outputs;
    char* scratch = static_cast<char*>(at.scratch) + panels_ * panel_bytes_;
    for (int64_t row = 0; row < rows_; row += kCopiedRows) {
      const Rows rows = {row, std::min(row + kCopiedRows, rows_)};
      GemmKernelsFor(isa_, own.weight).multiply(own, operands, rows, {0, panels}, scratch);
    }
  }

  void InputGradient(const Operands& at, int64_t task) const {
    const RowMatrix gradient = {at.logits, logits_.outputs};
    const RowMatrix weight = {at.weight, logits_.width};
    GemmOperands operands = {};
    operands.left.rows = {RowPiece, &gradient};
    operands.lines = {RowPiece, &weight};
    operands.activation = ActivationKind::kNone;
    operands.out = at.dx;
    RunGemmTask(isa_, dx_, dx_split_, operands, task, at.scratch);
  }

  void WeightGradient(const Operands& at, int64_t task) const {
    GemmOperands operands = {};
    operands.left.columns = at.logits;
    operands.left.stride = logits_.outputs;
    operands.packed = at.packed_x;
    operands.activation = ActivationKind::kNone;
    operands.out = at.state;
    AddGemmTask(isa_, sum_, sum_split_, operands, task, at.scratch);
  }

  Isa isa_;
  int64_t rows_;
  GemmShape logits_, dx_, sum_;
  int64_t panel_bytes_;
  int64_t panels_;  // that a task of the logits packs
  RowSplit losses_, packing_;
  GemmSplit dx_split_, sum_split_;
};

}  // namespace

Status PlanLinearCrossEntropyWithGradients(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(BindInputs(
      call, {"state f32[V,D]", "x f32[R,D]", "weight f32[V,D]", "target i32[R]", "dy f32[R]"}, &sides, 3));
  DType precision = DType::kF32;
  EMU_RETURN_IF_ERROR(ReadPrecision(call, &precision));
  const int64_t rows = sides['R'], width = sides['D'], vocabulary = sides['V'];
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[0], 0));
  EMU_RETURN_IF_ERROR(call.CheckOutput({Shape{1, {rows}}, DType::kF32}, 1));
  EMU_RETURN_IF_ERROR(call.CheckOutput(*call.inputs[1], 2));
  plan->check = [=](void* const* inputs) {
    return CheckTargets("linearCrossEntropyWithGradients", static_cast<const int32_t*>(inputs[3]), rows,
                        vocabulary);
  };
  const int64_t fit = kLogitBytes / (4 * std::max<int64_t>(1, vocabulary));
  const int64_t piece_rows = std::max(fit, kLeastRows);
  std::vector<Piece> pieces;
  for (int64_t row = 0; row < rows; row += piece_rows) {
    pieces.emplace_back(call.isa, call.threads, precision, std::min(piece_rows, rows - row), width,
                        vocabulary);
    pieces.back().AddPhases(&plan->phase_tasks);
    plan->shared_scratch_bytes = std::max(plan->shared_scratch_bytes, pieces.back().shared_bytes());
    plan->thread_scratch_bytes = std::max(plan->thread_scratch_bytes, pieces.back().thread_bytes());
  }
  plan->run = [=](const TaskContext& task) {
    const int64_t number = task.phase / Piece::kPhases, row = number * piece_rows;
    const Piece& piece = pieces[static_cast<size_t>(number)];
    char* shared = static_cast<char*>(task.shared_scratch);
    piece.Run({task.in(1) + row * width, task.in(2), task.indices(3) + row, task.in(4) + row, task.out(0),
               task.out(1) + row, task.out(2) + row * width, reinterpret_cast<float*>(shared),
               shared + piece.logit_bytes(), task.thread_scratch},
              task.phase % Piece::kPhases, task.task);
  };
  return {};
}

}  // namespace emu
