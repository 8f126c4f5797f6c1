// Where a row of a paged cache lies, and the check that it lies inside.
//
// A cache holds P pages of Z rows of G heads: keys as [P,G,K,Z], values as [P,G,Z,K]. Position p of slot s is
// row p mod Z of page pageTable[s, p div Z]. The page table is [L,M]: L slots of M pages each.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace emu {

struct PagedCache {
  int64_t pages;
  int64_t page_rows;
  int64_t slots;
  int64_t pages_per_slot;
  int64_t heads;  // of keys and values
  int64_t width;  // of one head
};

struct CachePlaces {
  const int32_t* slot;
  const int32_t* position;
  const int32_t* page_table;
};

// How much of a slot a row needs.
enum class CacheReach { kOwnPosition, kAllPositionsUpToItsOwn };

// INVALID_OPTION naming op, row and value unless every row's slot is -1 (the row is ignored) or within
// 0..L-1, its position within 0..M*Z-1, and the pages it reaches within 0..P-1.
Status CheckCachePlaces(const char* op, const PagedCache& cache, const CachePlaces& places, int64_t rows,
                        CacheReach reach);

}  // namespace emu
