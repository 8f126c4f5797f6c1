#include "ops/matmul/matmul.h"

#include "base/gemm/product.h"

namespace emu {

Status PlanMatmul(const CallTypes& call, CallPlan* plan) { return PlanProduct(call, false, plan); }

}  // namespace emu
