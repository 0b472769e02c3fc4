// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/llm/config.h"

#pragma GCC visibility push(default)
namespace tandem {

  struct Range {
    int64_t first = 0;
    int64_t count = 0;
    int64_t end() const { return first + count; }
    bool operator==(const Range&) const = default;
  };

  // Part `part` of `parts` contiguous parts of [0, total): [floor(part*total/parts), floor((part+1)*total/parts)).
  Range balanced(int64_t total, int parts, int part);

  // Query heads that share key/value heads evenly: query.count is a multiple of kv.count, in order.
  struct HeadPiece {
    Range query;
    Range kv;
    bool operator==(const HeadPiece&) const = default;
  };

  // What one rank owns of every layer. A rank may own nothing.
  struct Shard {
    int rank = 0;
    int size = 1;
    Range query_heads;
    Range kv_heads;  // what its query heads read; replicated where several ranks read one
    // One piece when every key/value head serves the same number of this rank's query heads, else one per kv head.
    std::vector<HeadPiece> pieces;
    Range dense_ffn;
    Range expert_ffn;
  };

  // Ranks that divide the query heads split those evenly, which the equal-bits promise needs; else whole kv groups are
  // split, and with more ranks than kv heads the query heads.
  Expected<Shard> make_shard(const ModelConfig& config, int rank, int size);

}  // namespace tandem
#pragma GCC visibility pop
