// Sizes that the planners of the attention ops and the kernel code of base/attention_tile.h agree on.
#pragma once

#include <algorithm>
#include <cstdint>

namespace emu {

// Keys per tile of the online softmax. Tiles start at key 0 whatever the call, so this constant is part of
// what a result is, to the bit.
inline constexpr int64_t kKeyTile = 128;

// One tile of the keys: `count` keys from `begin` on.
struct KeyTile {
  int64_t begin;
  int64_t count;
};

// Query rows that the register-blocked loops take at a time.
inline constexpr int64_t kPanelRows = 6;

// Rows of one task: as many as pay for packing a tile of keys, few enough to leave the tile in the
// second-level cache and to give every thread something to do. `shared` query heads share a key head; `rows`
// rows attend to each of `heads` key heads.
inline int64_t AttentionRowsPerTask(int64_t rows, int64_t heads, int64_t shared, int64_t width, int threads) {
  const int64_t most = std::max<int64_t>(std::clamp<int64_t>(49152 / (width + 1), 96, 384) / shared, 1);
  const int64_t least = std::min(std::max<int64_t>(48 / shared, 1), most);
  const int64_t wanted_blocks = (4 * threads + heads - 1) / std::max<int64_t>(heads, 1);
  const int64_t even = (rows + wanted_blocks - 1) / std::max<int64_t>(wanted_blocks, 1);
  const int64_t largest = std::clamp(even, least, most);
  const int64_t blocks = std::max<int64_t>((rows + largest - 1) / largest, 1);
  const int64_t equal = (rows + blocks - 1) / blocks;
  return std::max<int64_t>((equal + kPanelRows - 1) / kPanelRows * kPanelRows, 1);
}

// Scratch of a task with up to `rows` query rows of head width `width`, in bytes.
inline int64_t AttentionScratchBytes(int64_t rows, int64_t width) {
  const int64_t padded_rows = (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
  const int64_t padded_width = (width + 15) / 16 * 16;
  // Query, sums, totals, largest, pointers and key ranges.
  const int64_t per_row = 2 * padded_width * 4 + 64 + 4 + 5 * 8;
  const int64_t per_key = 2 * padded_width * 4 + kPanelRows * 4;  // key, value, weights
  return padded_rows * per_row + kKeyTile * per_key + 16 * 64;    // parts begin at 64 bytes
}

}  // namespace emu
