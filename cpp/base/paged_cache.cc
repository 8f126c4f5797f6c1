#include "base/paged_cache.h"

#include "base/call_checks.h"

namespace emu {
namespace {

// "[op] what value at row r is not in 0..count-1", the words of CheckIndices.
std::string Outside(const char* op, const char* what, int64_t value, int64_t row, int64_t count) {
  std::string text = "[";
  text += op;
  text += std::string("] ") + what + " " + std::to_string(value) + " at row " + std::to_string(row);
  return text + " is not in 0.." + std::to_string(count - 1);
}

Status CheckPage(const char* op, const PagedCache& cache, const CachePlaces& places, int64_t row,
                 int64_t page) {
  const int64_t slot = places.slot[row], entry = places.page_table[slot * cache.pages_per_slot + page];
  if (entry >= 0 && entry < cache.pages) return {};
  return Status(Code::kInvalidOption, Outside(op, "page", entry, row, cache.pages) + " (slot " +
                                          std::to_string(slot) + ", position " +
                                          std::to_string(page * cache.page_rows) + ")");
}

}  // namespace

Status CheckCachePlaces(const char* op, const PagedCache& cache, const CachePlaces& places, int64_t rows,
                        CacheReach reach) {
  EMU_RETURN_IF_ERROR(CheckIndices(op, "slot", places.slot, rows, -1, cache.slots));
  // Rows of one slot usually follow one another; pages checked for the row before need no second look.
  int64_t checked_slot = -1, checked_pages = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t slot = places.slot[row];
    if (slot < 0) continue;
    const int64_t position = places.position[row], positions = cache.pages_per_slot * cache.page_rows;
    if (position < 0 || position >= positions) {
      return Status(Code::kInvalidOption, Outside(op, "position", position, row, positions));
    }
    const int64_t own_page = position / cache.page_rows;
    if (slot != checked_slot) checked_pages = 0;
    checked_slot = slot;
    int64_t page = reach == CacheReach::kOwnPosition ? own_page : checked_pages;
    for (; page <= own_page; ++page) EMU_RETURN_IF_ERROR(CheckPage(op, cache, places, row, page));
    checked_pages = page > checked_pages ? page : checked_pages;
  }
  return {};
}

}  // namespace emu
