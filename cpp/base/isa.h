// Instruction sets that kernels are compiled for, and the choice among them at run time.
//
// Every cpp/ops/*/*_cpu.cc and cpp/base/gemm/*_cpu.cc is compiled once per instruction set with EMU_ISA
// defined as the namespace below. Such a file keeps all it defines in an anonymous namespace, uses no std::
// container or function object (their inline functions become weak symbols, and the linker may keep the
// AVX-512 copy for every caller), and exports one constant table of plain function pointers.
#pragma once

namespace emu {

// kAmx is kAvx512Bf16 with the products of bf16 on tiles (base/gemm/gemm_amx.cc); every other kernel and the
// layout of packed weights are those of kAvx512Bf16.
enum class Isa { kPortable, kAvx2, kAvx512, kAvx512Bf16, kAmx };

// The best one this machine runs, or the one named by `EMU_ISA` (portable, avx2, avx512, avx512bf16, amx)
// when the machine has it; tests run every level on one machine that way.
Isa DetectIsa();

// False for a level that this machine or this build lacks. The first question about kAmx asks the system to
// let this process keep tiles; a system that refuses lacks the level.
bool IsaAvailable(Isa isa);

const char* IsaName(Isa isa);

// Returns false if the name is none of the above.
bool IsaFromName(const char* name, Isa* isa);

#if defined(__x86_64__) || defined(_M_X64)
#define EMU_X86 1
#else
#define EMU_X86 0
#endif

// Declares `extern const Type name` for every level and `const Type& name##_for(Isa)`. Use inside namespace
// emu.
#if EMU_X86
#define EMU_DECLARE_KERNELS(Type, name)    \
  namespace isa_portable {                 \
  extern const Type name;                  \
  }                                        \
  namespace isa_avx2 {                     \
  extern const Type name;                  \
  }                                        \
  namespace isa_avx512 {                   \
  extern const Type name;                  \
  }                                        \
  namespace isa_avx512bf16 {               \
  extern const Type name;                  \
  }                                        \
  inline const Type& name##_for(Isa isa) { \
    switch (isa) {                         \
      case Isa::kAvx2:                     \
        return isa_avx2::name;             \
      case Isa::kAvx512:                   \
        return isa_avx512::name;           \
      case Isa::kAvx512Bf16:               \
      case Isa::kAmx:                      \
        return isa_avx512bf16::name;       \
      default:                             \
        return isa_portable::name;         \
    }                                      \
  }
#else
#define EMU_DECLARE_KERNELS(Type, name) \
  namespace isa_portable {              \
  extern const Type name;               \
  }                                     \
  inline const Type& name##_for(Isa) { return isa_portable::name; }
#endif

}  // namespace emu
