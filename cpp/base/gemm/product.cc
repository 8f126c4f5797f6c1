#include "base/gemm/product.h"

#include "base/bf16.h"
#include "base/call_checks.h"
#include "base/gemm/gemm.h"
#include "base/gemm/packing.h"
#include "base/gemm/precision.h"
#include "base/gemm/row_matrix.h"

namespace emu {
namespace {

Status ReadFlag(const CallTypes& call, const char* name, bool* out) {
  int64_t value = 0;
  EMU_RETURN_IF_ERROR(ReadInteger(call, name, 0, &value));
  if (value > 1) return RefuseOption(call, name, std::to_string(value), "0 or 1");
  *out = value == 1;
  return {};
}

struct Product {
  GemmShape shape;
  bool transpose_a;
  bool transpose_b;
};

Status ReadProduct(const CallTypes& call, bool adds, Product* product) {
  EMU_RETURN_IF_ERROR(ReadFlag(call, "transposeA", &product->transpose_a));
  EMU_RETURN_IF_ERROR(ReadFlag(call, "transposeB", &product->transpose_b));
  EMU_RETURN_IF_ERROR(ReadPrecision(call, &product->shape.weight));
  BoundSides sides;
  EMU_RETURN_IF_ERROR(adds
                          ? BindInputs(call, {"state f32[M,N]", "a f32|bf16[P,Q]", "b f32|bf16[R,S]"}, &sides)
                          : BindInputs(call, {"a f32|bf16[P,Q]", "b f32|bf16[R,S]"}, &sides));
  GemmShape& shape = product->shape;
  shape.rows = sides[product->transpose_a ? 'Q' : 'P'];
  shape.width = sides[product->transpose_a ? 'P' : 'Q'];
  shape.outputs = sides[product->transpose_b ? 'R' : 'S'];
  const int64_t inner = sides[product->transpose_b ? 'S' : 'R'];
  if (shape.width != inner) {
    return call.Refuse("the inner side is " + std::to_string(shape.width) + " in a but " +
                       std::to_string(inner) + " in b");
  }
  TensorType out;
  out.shape = WithLast(WithLast(out.shape, shape.rows), shape.outputs);
  if (adds && !(out == *call.inputs[0])) {
    return call.Refuse("the product is " + ToText(out) + ", which is not like the state");
  }
  return call.CheckOutput(out);
}

}  // namespace

Status PlanProduct(const CallTypes& call, bool adds, CallPlan* plan) {
  Product product = {};
  EMU_RETURN_IF_ERROR(ReadProduct(call, adds, &product));
  const int in_a = adds ? 1 : 0, in_b = in_a + 1;
  const Isa isa = call.isa;
  const GemmShape shape = product.shape;
  const GemmSplit split = SplitGemm(isa, shape, call.threads);
  const DType dtype_b = call.inputs[in_b]->dtype;
  // A weight [N,K] is b transposed, so b as it is written is a transposed weight.
  const RowSplit packing = SplitPacking(isa, !product.transpose_b, shape.outputs, shape.width, call.threads);
  const bool widens = call.inputs[in_a]->dtype == DType::kBf16;
  const int64_t elements = call.shape(in_a).elements();
  const RowSplit widening = widens ? SplitFloats(elements, 1, call.threads) : RowSplit{1, 0};
  const int64_t packed_bytes = PackedBytes(isa, shape.weight, shape.outputs, shape.width);
  plan->phase_tasks = {packing.tasks + widening.tasks, split.tasks()};
  plan->shared_scratch_bytes = packed_bytes + (widens ? elements * 4 : 0);
  plan->thread_scratch_bytes = split.scratch_bytes + (adds ? SumScratchBytes(isa, split) : 0);
  plan->run = [=](const TaskContext& task) {
    float* widened = reinterpret_cast<float*>(static_cast<char*>(task.shared_scratch) + packed_bytes);
    if (task.phase == 0 && task.task < packing.tasks) {
      const PlainMatrix b = {task.inputs[in_b], dtype_b, product.transpose_b ? shape.width : shape.outputs,
                             !product.transpose_b};
      RunPackingTask(isa, shape.weight, b, shape.outputs, shape.width, packing, task.task,
                     task.shared_scratch);
      return;
    }
    if (task.phase == 0) {
      const Rows part = widening.rows(task.task - packing.tasks, elements);
      const Bf16* a = static_cast<const Bf16*>(task.inputs[in_a]);
      for (int64_t i = part.begin; i < part.end; ++i) widened[i] = ToFloat(a[i]);
      return;
    }
    const RowMatrix a = {widens ? widened : task.in(in_a), shape.width};
    GemmOperands operands = {};
    if (product.transpose_a) {
      operands.left.columns = a.values;
      operands.left.stride = shape.rows;
    } else {
      operands.left.rows = {RowPiece, &a};
    }
    operands.packed = task.shared_scratch;
    operands.activation = ActivationKind::kNone;
    operands.out = task.out();
    (adds ? AddGemmTask : RunGemmTask)(isa, shape, split, operands, task.task, task.thread_scratch);
  };
  return {};
}

}  // namespace emu
