// Where the values of a program lie in one scratch arena.
#pragma once

#include <cstdint>
#include <vector>

namespace emu {

// A value that needs room from the call that makes it to the last call that reads it, both included.
struct Lifetime {
  int64_t bytes;
  int first_call;
  int last_call;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // parallel to the lifetimes, multiples of 64
  int64_t bytes = 0;
};

// Largest first, each at the lowest offset that no value alive at the same time covers.
MemoryPlan PlanMemory(const std::vector<Lifetime>& lifetimes);

}  // namespace emu
