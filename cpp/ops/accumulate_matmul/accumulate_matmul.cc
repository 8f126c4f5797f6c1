#include "ops/accumulate_matmul/accumulate_matmul.h"

#include "base/gemm/product.h"

namespace emu {

Status PlanAccumulateMatmul(const CallTypes& call, CallPlan* plan) { return PlanProduct(call, true, plan); }

}  // namespace emu
