#include "base/simd.h"
#include "ops/dropout/dropout.h"

namespace emu::EMU_ISA {
namespace {

// Blocks of four words that are made together, side by side, so that the compiler computes them by vectors.
constexpr int kBlocks = 16;
constexpr int kWords = 4 * kBlocks;
constexpr int kRounds = 10;

// The words of blocks first..first+kBlocks-1 in order.
inline void PhiloxWords(const DropoutChoice& choice, uint64_t first, uint32_t* words) {
  uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  for (int b = 0; b < kBlocks; ++b) {
    const uint64_t block = first + static_cast<uint64_t>(b);
    c0[b] = static_cast<uint32_t>(block);
    c1[b] = static_cast<uint32_t>(block >> 32);
    c2[b] = choice.stream;
    c3[b] = 0;
  }
  uint32_t k0 = choice.key[0], k1 = choice.key[1];
  for (int round = 0; round < kRounds; ++round) {
    for (int b = 0; b < kBlocks; ++b) {
      const uint64_t product0 = uint64_t{0xd2511f53} * c0[b], product1 = uint64_t{0xcd9e8d57} * c2[b];
      c0[b] = static_cast<uint32_t>(product1 >> 32) ^ c1[b] ^ k0;
      c1[b] = static_cast<uint32_t>(product1);
      c2[b] = static_cast<uint32_t>(product0 >> 32) ^ c3[b] ^ k1;
      c3[b] = static_cast<uint32_t>(product0);
    }
    k0 += 0x9e3779b9;  // golden ratio
    k1 += 0xbb67ae85;  // sqrt(3) - 1
  }
  for (int b = 0; b < kBlocks; ++b) {
    words[4 * b] = c0[b];
    words[4 * b + 1] = c1[b];
    words[4 * b + 2] = c2[b];
    words[4 * b + 3] = c3[b];
  }
}

void DropElements(const DropoutChoice& choice, const float* x, Rows elements, float* out) {
  // A task may begin inside a block: words before its first element are made and passed over.
  for (int64_t at = elements.begin; at < elements.end;) {
    const int64_t start = at / kWords * kWords;
    const int64_t end = start + kWords < elements.end ? start + kWords : elements.end;
    uint32_t words[kWords];
    PhiloxWords(choice, static_cast<uint64_t>(start / 4), words);
    for (int64_t i = at; i < end; ++i) {
      out[i] = words[i - start] >= choice.threshold ? x[i] * choice.factor : 0.0f;
    }
    at = end;
  }
}

}  // namespace

const DropoutKernels dropout = {DropElements};

}  // namespace emu::EMU_ISA
