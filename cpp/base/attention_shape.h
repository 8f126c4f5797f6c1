// The sizes of a call of attention or of its gradient. B batch, T query positions, S key positions, H heads,
// G key heads, K head width; query head h reads key head floor(h / (H / G)).
#pragma once

#include <cstdint>

namespace emu {

class Status;
struct BoundSides;
struct CallTypes;

// Keys begin..end-1; none where end is not above begin.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

struct AttentionShape {
  int64_t batch;
  int64_t queries;
  int64_t keys;
  int64_t heads;
  int64_t key_heads;
  int64_t width;
  float scale;
  bool causal;

  // The keys that query t of batch element `element` sees. first_key [B,T] is checked to be in 0..S, or null.
  KeyRange Visible(const int32_t* first_key, int64_t element, int64_t t) const {
    const int64_t past = causal ? t + keys - queries + 1 : keys;
    return {first_key == nullptr ? 0 : first_key[element * queries + t],
            past < 0 ? 0 : (past < keys ? past : keys)};
  }
};

// Reads the attributes scale and causal, and refuses heads that are no multiple of the key heads.
Status ReadAttentionShape(const CallTypes& call, const BoundSides& sides, AttentionShape* shape);

}  // namespace emu
