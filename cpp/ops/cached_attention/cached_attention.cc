#include "ops/cached_attention/cached_attention.h"

#include "base/attention_block.h"
#include "base/call_checks.h"

namespace emu {
namespace {

Status CheckTypes(const CallTypes& call, BoundSides* sides) {
  EMU_RETURN_IF_ERROR(
      BindInputs(call,
                 {"q f32[R,H,K]", "keyCache f32|bf16[P,G,K,Z]", "valueCache f32|bf16[P,G,Z,K]", "slot i32[R]",
                  "position i32[R]", "pageTable i32[L,M]"},
                 sides));
  const int64_t heads = (*sides)['H'], key_heads = (*sides)['G'];
  if (key_heads == 0 || heads % key_heads != 0) {
    return call.Refuse(std::to_string(heads) + " query heads are not a multiple of " +
                       std::to_string(key_heads) + " key heads");
  }
  if (call.inputs[1]->dtype != call.inputs[2]->dtype) {
    return call.Refuse("keyCache and valueCache are of different types");
  }
  return call.CheckOutput(*call.inputs[0]);
}

CachedAttentionInputs InputsOf(void* const* inputs) {
  const auto indices = [inputs](int index) { return static_cast<const int32_t*>(inputs[index]); };
  return {static_cast<const float*>(inputs[0]), inputs[1], inputs[2], {indices(3), indices(4), indices(5)}};
}

// Calls use(piece) for consecutive rows of one slot, at most `most` of them.
template <class Use>
void ForEachPiece(const int32_t* slot, int64_t rows, int64_t most, const Use& use) {
  for (int64_t begin = 0, end; begin < rows; begin = end) {
    for (end = begin + 1; end < rows && end - begin < most && slot[end] == slot[begin];) ++end;
    use(Rows{begin, end});
  }
}

// A run's work in units of equal size as far as can be: piece by piece, the key heads of a piece in groups. A
// page holds its heads one after the other, so a task that takes them in turn reads memory in order.
struct Units {
  int64_t groups;  // of a piece
  int64_t count;

  Units(const int32_t* slot, int64_t rows, int64_t most, int64_t key_heads, int threads) {
    int64_t pieces = 0, largest = 0;
    ForEachPiece(slot, rows, most, [&](Rows piece) {
      ++pieces;
      largest = std::max(largest, piece.end - piece.begin);
    });
    groups = std::clamp<int64_t>((2 * threads * largest + rows - 1) / rows, 1, key_heads);
    count = pieces * groups;
  }
};

}  // namespace

Status PlanCachedAttention(const CallTypes& call, CallPlan* plan) {
  BoundSides sides;
  EMU_RETURN_IF_ERROR(CheckTypes(call, &sides));
  double scale = 0;
  EMU_RETURN_IF_ERROR(call.attributes.Number("scale", &scale));
  const int64_t rows = sides['R'];
  const PagedCache cache = {sides['P'], sides['Z'], sides['L'], sides['M'], sides['G'], sides['K']};
  const CachedAttentionShape shape = {sides['H'], static_cast<float>(scale), cache};

  const int64_t shared = shape.heads / cache.heads;
  const int64_t most =
      AttentionRowsPerTask(rows, cache.heads, std::max<int64_t>(shared, 1), cache.width, call.threads);
  const bool empty = call.shape(0).elements() == 0;
  const int64_t tasks = empty ? 0 : std::min<int64_t>(rows * cache.heads, 8 * call.threads);
  plan->phase_tasks = {tasks};
  plan->thread_scratch_bytes = AttentionScratchBytes(most * shared, cache.width);
  plan->check = [=](void* const* inputs) {
    return CheckCachePlaces("cachedAttention", cache, InputsOf(inputs).places, rows,
                            CacheReach::kAllPositionsUpToItsOwn);
  };
  const CachedAttentionKernels& kernels = cached_attention_for(call.isa);
  const auto kernel = call.inputs[1]->dtype == DType::kF32 ? kernels.f32_piece : kernels.bf16_piece;
  plan->run = [=, threads = call.threads](const TaskContext& task) {
    const CachedAttentionInputs inputs = InputsOf(task.inputs);
    const Units units(inputs.places.slot, rows, most, cache.heads, threads);
    // Later rows of a prompt see more keys, so they go first.
    const int64_t share = tasks - 1 - task.task;
    const int64_t begin = units.count * share / tasks, end = units.count * (share + 1) / tasks;
    int64_t unit = 0;
    ForEachPiece(inputs.places.slot, rows, most, [&](Rows piece) {
      for (int64_t group = 0; group < units.groups; ++group, ++unit) {
        if (unit < begin || unit >= end) continue;
        const Rows heads = {cache.heads * group / units.groups, cache.heads * (group + 1) / units.groups};
        kernel(shape, inputs, heads, piece, task.thread_scratch, task.out());
      }
    });
  };
  return {};
}

}  // namespace emu
