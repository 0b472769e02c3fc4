// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/kv_cache.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace tandem {
namespace {

constexpr size_t kAlign = 64;

// Bytes of one piece's keys, a whole number of cache lines; nothing on overflow.
std::optional<size_t> piece_bytes(const KvCache::Shape& shape, int64_t kv_heads) {
  size_t bytes = static_cast<size_t>(dtype_bits(shape.dtype) / 8);
  for (const int64_t factor : {shape.blocks, KvCache::kBlock, kv_heads, shape.head_dim}) {
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(factor), &bytes)) return std::nullopt;
  }
  if (bytes > SIZE_MAX / 4) return std::nullopt;
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

tl::unexpected<Error> too_many(const KvCache::Shape& shape) {
  return fail(ErrorCode::out_of_memory, fmt::format("kv cache: {} blocks are too many", shape.blocks));
}

}  // namespace

Expected<KvCache> KvCache::create(const Shape& shape) {
  KvCache cache;
  size_t total = 0;
  for (const int64_t heads : shape.kv_heads) {
    cache.piece_offset_.push_back(cache.layer_bytes_);
    const auto bytes = piece_bytes(shape, heads);
    if (!bytes) return too_many(shape);
    if (__builtin_add_overflow(cache.layer_bytes_, 2 * *bytes, &cache.layer_bytes_)) return too_many(shape);
  }
  if (__builtin_mul_overflow(cache.layer_bytes_, static_cast<size_t>(shape.layers), &total)) return too_many(shape);
  if (total > 0) {
    auto pages = Pages::allocate(total);
    if (!pages) return fail(pages.error());
    cache.pages_ = std::move(*pages);
  }
  for (int64_t block = shape.blocks; block-- > 0;) cache.free_.push_back(static_cast<int32_t>(block));
  return cache;
}

std::byte* KvCache::part(int64_t layer, size_t piece, size_t which) const {
  const size_t end = piece + 1 < piece_offset_.size() ? piece_offset_[piece + 1] : layer_bytes_;
  const size_t half = (end - piece_offset_[piece]) / 2;
  return pages_.as<std::byte>() + static_cast<size_t>(layer) * layer_bytes_ + piece_offset_[piece] + which * half;
}

Status KvCache::reserve(std::vector<int32_t>& table, int64_t positions) {
  const size_t wanted = static_cast<size_t>((positions + kBlock - 1) / kBlock);
  if (wanted <= table.size()) return {};
  const size_t missing = wanted - table.size();
  if (missing > free_.size()) {
    return fail(ErrorCode::out_of_memory,
                fmt::format("kv cache: {} blocks wanted, {} are free", missing, free_.size()));
  }
  for (size_t i = 0; i < missing; ++i) {
    table.push_back(free_.back());
    free_.pop_back();
  }
  return {};
}

void KvCache::release(std::vector<int32_t>& table) {
  free_.insert(free_.end(), table.rbegin(), table.rend());
  table.clear();
}

}  // namespace tandem
