// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/shard.h"

#include <fmt/format.h>

#include <algorithm>

namespace tandem {
namespace {

Range query_range(const ModelConfig& config, int rank, int size) {
  if (config.heads % size == 0 || size > config.kv_heads) return balanced(config.heads, size, rank);
  const int64_t group = config.heads / config.kv_heads;
  const Range groups = balanced(config.kv_heads, size, rank);
  return {groups.first * group, groups.count * group};
}

// The query heads of `owned` that read kv head `kv`.
Range readers(const Range& owned, int64_t kv, int64_t group) {
  const int64_t first = std::max(owned.first, kv * group);
  const int64_t end = std::min(owned.end(), (kv + 1) * group);
  return {first, end - first};
}

std::vector<HeadPiece> cut_pieces(const Range& query, const Range& kv, int64_t group) {
  std::vector<HeadPiece> pieces;
  bool even = true;
  for (int64_t head = kv.first; head < kv.end(); ++head) {
    pieces.push_back({readers(query, head, group), {head, 1}});
    even = even && pieces.back().query.count == pieces.front().query.count;
  }
  if (even && !pieces.empty()) return {{query, kv}};
  return pieces;
}

}  // namespace

Range balanced(int64_t total, int parts, int part) {
  const int64_t first = part * total / parts;
  return {first, (part + 1) * total / parts - first};
}

Expected<Shard> make_shard(const ModelConfig& config, int rank, int size) {
  if (size < 1 || rank < 0 || rank >= size) {
    return fail(ErrorCode::invalid_argument, fmt::format("shard: rank {} given, a rank in [0, {}) wanted", rank, size));
  }
  Shard shard;
  shard.rank = rank;
  shard.size = size;
  shard.query_heads = query_range(config, rank, size);
  const int64_t group = config.heads / config.kv_heads;
  if (shard.query_heads.count > 0) {
    const int64_t first = shard.query_heads.first / group;
    shard.kv_heads = {first, (shard.query_heads.end() - 1) / group + 1 - first};
  }
  shard.pieces = cut_pieces(shard.query_heads, shard.kv_heads, group);
  shard.dense_ffn = balanced(config.dense_ffn, size, rank);
  shard.expert_ffn = balanced(config.expert_ffn, size, rank);
  return shard;
}

}  // namespace tandem
