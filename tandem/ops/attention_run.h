// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "tandem/ops/attention.h"
#include "tandem/ops/fields.h"

// The execution that both attention operators share. Internal to ops.
namespace tandem {

// What the shapes of an attention say. keys per tensor: `blocks` blocks of `positions`, heads inside or (head_major)
// outside of them; packed: all sequences behind one another.
struct AttentionSizes {
  int64_t batch = 0, tokens = 0, heads = 0, kv_heads = 0, dim = 0, blocks = 0, positions = 0;
  int64_t most = 0;  // positions a sequence may have
  bool paged = false, head_major = false, ragged = false;

  explicit AttentionSizes(const FusedInferAttention& op);
  bool packed() const { return ragged && !paged; }
  // Tokens of sequence b that count.
  int64_t query_length(int64_t b) const;
  int64_t length(int64_t b) const;
  int64_t first_position(int64_t b) const;
  // Positions that token s of sequence b sees.
  int64_t visible(int64_t b, int64_t s) const;

 private:
  const FusedInferAttention* op_;
};

Status attend(std::string_view name, const FusedInferAttention& op, Work& work);

}  // namespace tandem
