#include "base/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#if EMU_X86
#include <cpuid.h>
#endif
#if EMU_X86 && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace emu {
namespace {

// Whether the processor has tiles of bf16 and the system saves them. Linux grants them to a process that
// asks, for all its threads; elsewhere nobody has tried.
bool TilesGranted() {
#if EMU_X86 && defined(__linux__)
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  constexpr unsigned int kBf16Tiles = 1u << 22, kTiles = 1u << 24;
  if ((edx & kBf16Tiles) == 0 || (edx & kTiles) == 0) return false;
  // ARCH_REQ_XCOMP_PERM and the number of the tiles' state, which older headers do not name.
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool IsaAvailable(Isa isa) {
#if EMU_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512cd");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Bf16:
      return bf16;
    case Isa::kAmx: {
      static const bool granted = TilesGranted();
      return bf16 && granted;
    }
  }
  return false;
#else
  return isa == Isa::kPortable;
#endif
}

const char* IsaName(Isa isa) {
  switch (isa) {
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
    case Isa::kAmx:
      return "amx";
    default:
      return "portable";
  }
}

bool IsaFromName(const char* name, Isa* isa) {
  for (Isa candidate : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx}) {
    if (std::strcmp(name, IsaName(candidate)) == 0) {
      *isa = candidate;
      return true;
    }
  }
  return false;
}

Isa DetectIsa() {
  Isa asked;
  const char* name = std::getenv("EMU_ISA");
  if (name != nullptr && IsaFromName(name, &asked) && IsaAvailable(asked)) return asked;
  for (Isa candidate : {Isa::kAmx, Isa::kAvx512Bf16, Isa::kAvx512, Isa::kAvx2}) {
    if (IsaAvailable(candidate)) return candidate;
  }
  return Isa::kPortable;
}

}  // namespace emu
