// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "tandem/base/status.h"
#include "tandem/comm/collectives.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/segment.h"

// What all collectives check and announce.
namespace tandem {

struct CollectiveCall {
  Communicator& comm;
  Lane& lane;
  std::string_view name;
  int64_t count = 0;
  DType type = DType::none;
  int root = -1;
  uint8_t reduction = 0;  // 1 + Combine
  uint64_t layout = 0;

  size_t bytes(int64_t elements) const { return static_cast<size_t>(elements) * element(); }
  size_t element() const { return static_cast<size_t>(dtype_bits(type)) / 8; }
  Fingerprint fingerprint(uint32_t local = 0) const;
};

// Type, count and root; with a reduction, that this machine's table combines.
Status check(const CollectiveCall& call);
// A buffer that is read or written.
Status check_buffer(const CollectiveCall& call, std::string_view what, const void* data, int64_t elements);
// One part a rank, nothing negative, no overflow.
Status check_parts(const CollectiveCall& call, std::string_view what, const Parts& parts);

// A number for the numbers; never 0, which stands for "none".
uint64_t hash_of(std::span<const int64_t> numbers, uint64_t seed = 0);

inline uint8_t reduction_of(Combine how) { return static_cast<uint8_t>(1 + static_cast<int>(how)); }

// memcpy that may be asked for nothing.
inline void copy_bytes(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes > 0 && to != from) std::memmove(to, from, bytes);
}

// Asks for the lines of what another core wrote: they come late, so many have to be on the way at once.
inline void fetch(const std::byte* from, size_t bytes) {
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(from + i, 0, 2);
}
// Copies what a peer wrote, asking a piece ahead.
inline void copy_from_peer(std::byte* to, const std::byte* from, size_t bytes) {
  constexpr size_t kPiece = 8 * 1024;
  fetch(from, std::min(bytes, kPiece));
  for (size_t at = 0; at < bytes; at += kPiece) {
    const size_t some = std::min(kPiece, bytes - at);
    fetch(from + at + some, std::min(kPiece, bytes - at - some));
    copy_bytes(to + at, from + at, some);
  }
}

// The same to where nobody reads soon: past the caches, so that lines to be overwritten are not read first.
void copy_past(std::byte* to, const std::byte* from, size_t bytes, Lane& lane);
// From so many bytes of a result on that is worth it.
inline constexpr size_t kPastBytes = 8 * 1024 * 1024;

// From so many bytes of a rank on a call is done directly where all buffers are device memory: below, one wait more
// costs more than the copies.
inline constexpr size_t kDirectBytes = 4 * 1024;

// Whether two ranges of memory share a byte.
inline bool overlap(const std::byte* a, size_t a_bytes, const std::byte* b, size_t b_bytes) {
  return a_bytes > 0 && b_bytes > 0 && a < b + b_bytes && b < a + a_bytes;
}

inline const std::byte* as_bytes(const void* data) { return static_cast<const std::byte*>(data); }
inline std::byte* as_bytes(void* data) { return static_cast<std::byte*>(data); }

}  // namespace tandem
