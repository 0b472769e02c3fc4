// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/collective_call.h"

#include <fmt/format.h>

#include <algorithm>

#include "tandem/kernels/table.h"

namespace tandem {
namespace {

// Sums of counts of all ranks and their bytes stay far from overflow.
constexpr int64_t kMostElements = int64_t{1} << 48;

tl::unexpected<Error> refuse(const CollectiveCall& call, std::string_view text) {
  return fail(ErrorCode::invalid_argument, fmt::format("{}: {}", call.name, text));
}

}  // namespace

Fingerprint CollectiveCall::fingerprint(uint32_t local) const {
  Fingerprint made;
  std::memcpy(made.operation, name.data(), std::min(name.size(), sizeof made.operation));
  made.count = count;
  made.output = type;
  made.reduction = reduction;
  made.root = root;
  made.layout = layout;
  made.local = local;
  return made;
}

Status check(const CollectiveCall& call) {
  if (call.type == DType::none || call.type == DType::i4) {
    return fail(ErrorCode::unsupported,
                fmt::format("{}: data type {}, one of whole bytes wanted", call.name, dtype_name(call.type)));
  }
  if (call.count < 0 || call.count > kMostElements) {
    return refuse(call, fmt::format("count {}, 0 to 2^48 wanted", call.count));
  }
  if (call.root < -1 || call.root >= call.comm.size()) {
    return refuse(call, fmt::format("root {}, 0 to {} wanted", call.root, call.comm.size() - 1));
  }
  if (call.reduction > reduction_of(Combine::average)) {
    return refuse(call, fmt::format("combination {}, sum to average wanted", call.reduction - 1));
  }
  if (call.reduction != 0 && default_table().reduce.combine == nullptr) {
    return fail(ErrorCode::unsupported, fmt::format("{}: table {} cannot combine", call.name, default_table().name));
  }
  return {};
}

Status check_buffer(const CollectiveCall& call, std::string_view what, const void* data, int64_t elements) {
  if (data != nullptr || elements == 0) return {};
  return fail(ErrorCode::null_argument, fmt::format("{}: {} is null, {} elements wanted", call.name, what, elements));
}

Status check_parts(const CollectiveCall& call, std::string_view what, const Parts& parts) {
  const auto size = static_cast<size_t>(call.comm.size());
  if (parts.counts.size() != size || parts.displacements.size() != size) {
    return refuse(call, fmt::format("{}: {} counts and {} displacements, {} of each wanted", what, parts.counts.size(),
                                    parts.displacements.size(), size));
  }
  for (size_t rank = 0; rank < size; ++rank) {
    const int64_t count = parts.counts[rank], at = parts.displacements[rank];
    if (count < 0 || count > kMostElements || at < 0 || at > kMostElements) {
      return refuse(call,
                    fmt::format("{}: rank {} has {} elements from {} on, 0 to 2^48 wanted", what, rank, count, at));
    }
  }
  return {};
}

void copy_past(std::byte* to, const std::byte* from, size_t bytes, Lane& lane) {
  const auto combine = default_table().reduce.combine;
  if (to == from || bytes == 0) return;
  if (combine == nullptr) return copy_bytes(to, from, bytes);
  const void* inputs[] = {from};
  combine({static_cast<int64_t>(bytes), 1, inputs, DType::u8, Combine::sum, to, true}, lane);
}

uint64_t hash_of(std::span<const int64_t> numbers, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325u ^ seed;
  for (const int64_t number : numbers) {
    hash = (hash ^ static_cast<uint64_t>(number)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash == 0 ? 1 : hash;
}

}  // namespace tandem
