// SPDX-License-Identifier: Apache-2.0
#pragma once
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

inline const std::byte* as_bytes(const void* data) { return static_cast<const std::byte*>(data); }
inline std::byte* as_bytes(void* data) { return static_cast<std::byte*>(data); }

}  // namespace tandem
