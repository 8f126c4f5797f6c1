#include "runtime/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace emu {
namespace {

constexpr int64_t kAlignment = 64;

bool Overlap(const Lifetime& a, const Lifetime& b) {
  return a.first_call <= b.last_call && b.first_call <= a.last_call;
}

}  // namespace

MemoryPlan PlanMemory(const std::vector<Lifetime>& lifetimes) {
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::vector<size_t> placed;  // by offset
  for (size_t value : order) {
    const int64_t bytes = (lifetimes[value].bytes + kAlignment - 1) / kAlignment * kAlignment;
    int64_t offset = 0;
    for (size_t other : placed) {
      if (!Overlap(lifetimes[value], lifetimes[other])) continue;
      if (offset + bytes <= plan.offsets[other]) break;
      const int64_t other_bytes = (lifetimes[other].bytes + kAlignment - 1) / kAlignment * kAlignment;
      offset = std::max(offset, plan.offsets[other] + other_bytes);
    }
    plan.offsets[value] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), value,
                                   [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  value);
  }
  return plan;
}

}  // namespace emu
