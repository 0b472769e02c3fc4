// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tandem/comm/collective_call.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/table.h"

// What the reducing collectives share.
namespace tandem {

inline constexpr size_t kLine = 64;
// A turn's inputs and results stay in the cores' own caches.
inline constexpr size_t kTurnBytes = 256 * 1024;
// What is combined before it is copied once more is still in the first cache.
inline constexpr size_t kBlockBytes = 16 * 1024;

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Reduction {
  CollectiveCall call;
  Combine how;
  const std::byte* in;
  std::byte* out;     // null on ranks that take no result
  bool past = false;  // results are written past the caches

  int size() const { return call.comm.size(); }
  int rank() const { return call.comm.rank(); }

  void copy_result(std::byte* to, const std::byte* from, size_t bytes) const {
    past ? copy_past(to, from, bytes, call.lane) : copy_bytes(to, from, bytes);
  }
  void take_result(std::byte* to, const std::byte* from, size_t bytes) const {
    past ? copy_past(to, from, bytes, call.lane) : copy_from_peer(to, from, bytes);
  }

  void fetch_peers(const void* const* inputs, size_t at, size_t bytes) const {
    for (int r = 0; r < size(); ++r) {
      if (r != rank()) fetch(static_cast<const std::byte*>(inputs[r]) + at, bytes);
    }
  }

  // Combines `count` elements: this rank's at `own`, rank r's at from(r), into `to` and, where given, `also`.
  template <class From>
  void combine(const std::byte* own, const From& from, int64_t count, std::byte* to, std::byte* also,
               bool streams = false) const {
    const bool alone = call.lane.team->size() == 1;
    const int64_t block = alone ? static_cast<int64_t>(kBlockBytes / call.element()) : count;
    for (int64_t first = 0; first < count; first += block) {
      const int64_t some = std::min(block, count - first);
      const size_t at = call.bytes(first);
      const void* inputs[kMaxRanks];
      for (int r = 0; r < size(); ++r) inputs[r] = (r == rank() ? own : from(r)) + at;
      if (alone && first == 0) fetch_peers(inputs, 0, call.bytes(some));
      if (alone) fetch_peers(inputs, call.bytes(some), call.bytes(std::min(block, count - first - some)));
      default_table().reduce.combine({some, size(), inputs, call.type, how, to + at, streams}, call.lane);
      if (also != nullptr) copy_result(also + at, to + at, call.bytes(some));
    }
  }
};

// Elements of a chunk that rank r combines.
struct Slices {
  int64_t slice;
  int64_t first(int rank, int64_t count) const { return std::min(count, rank * slice); }
  int64_t last(int rank, int64_t count) const { return std::min(count, (rank + 1) * slice); }
};

// Whether all_reduce first sums inside each host: every host has the same power of two of neighbouring ranks, so that a
// host's sum is a subtree of the ranks' tree, no bit depends on it, and the bytes are worth three more turns.
bool sums_inside_hosts(const Reduction& reduction);
Status reduce_inside_hosts(const Reduction& reduction);

}  // namespace tandem
