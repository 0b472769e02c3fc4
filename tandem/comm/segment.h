// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/descriptor.h"

// The memory one rank shares with its peers: one memfd, mapped by every rank of the communicator.
//
//      offset
//     0  +---------------------------------------------------------------+
//        | identity: magic, size, rank, window bytes, build,             |  written once by the owner;
//        |           layout version (written LAST)                       |  checked once by each peer
//   128  +---------------------------------------------------------------+
//        | state: joined -> left                                         |  owner
//   256  | claim: 1 + rank whose failure is the root cause (rank 0's     |  any rank, once, by compare-exchange
//        |        segment only)                                          |
//   384  | bell: futex word the owner sleeps on                          |  any rank adds 1
//   512  | blocked: what the owner waits for, 0 while it is awake        |  owner
//   640  | progress: grows with every step;  inside: in an operator      |  owner
//        +---------------------------------------------------------------+
//   768  | counter ready  |                                              |  owner stores, peers read;
//   896  | counter done   |  each on 128 bytes of its own                |  they only grow and wrap,
//  1024  | counter free   |                                              |  so they are compared
//  1152  | counter called (sequence number of the last operator)         |  by difference
//        +---------------------------------------------------------------+
//  1280  | fingerprint slot 0   (operators with an even number)          |  owner, before `called`
//  1408  | fingerprint slot 1   (odd numbers)                            |
//  1536  +---------------------------------------------------------------+
//        | failure: code, culprit, length, text;  word published LAST    |  owner, once
//        +---------------------------------------------------------------+
//  4096  | pair p: what was announced to rank p; counters sent (to p)    |  owner
//        |         and taken (from p); 128 bytes each, 64 pairs          |
//        +---------------------------------------------------------------+
// 12288  | window: the operators' own layout                             |  any rank, as the operator says
//        +---------------------------------------------------------------+  12288 + window bytes
//        | what send() has under way, one place a receiver               |  owner
//        +---------------------------------------------------------------+  + window bytes / 16, whole pages
//
// A peer is not trusted: nothing read from here is used as an index or a bound; values are copied, then checked.

namespace tandem {

inline constexpr uint32_t kLayoutVersion = 4;
inline constexpr int kMaxRanks = 64;
inline constexpr size_t kPairsAt = 4096;
inline constexpr size_t kHeaderBytes = 12288;
inline constexpr size_t kLineBytes = 128;  // two cache lines: the adjacent-line prefetcher pairs them
inline constexpr size_t kCommunicatorBytes = size_t{64} << 20;
inline constexpr size_t kFailureTextBytes = 1024;

// Counters of a segment: the three signals, then the number of the last operator called.
inline constexpr int kCalled = kSignals;
inline constexpr int kCounters = kSignals + 1;
// Counters of a pair, seen by the other rank of it: pieces sent to it, pieces taken from it; or either, of any rank.
inline constexpr int kSent = kCounters;
inline constexpr int kTaken = kCounters + 1;
inline constexpr int kAnyPair = kCounters + 2;
inline constexpr int kGoalKinds = kCounters + 3;

enum class RankState : uint32_t { joining, joined, left };

struct alignas(kLineBytes) CounterLine {
  std::atomic<uint32_t> value{0};
  // Beside `called` only: what peers need of the fingerprints in slots 0 and 1 while all ranks call the same, so that
  // the line they wait for is the only one they fetch.
  std::atomic<uint32_t> local[2] = {};
  std::atomic<uint64_t> digest[2] = {};
  std::atomic<uint64_t> places[2][4] = {};  // where the call's buffers lie, if in device memory: arena, offset, twice
  std::atomic<uint32_t> vote[2] = {};       // whether this rank can reach those of all peers
};

struct alignas(kLineBytes) IdentityLine {
  char magic[8] = {};
  char build[56] = {};
  uint64_t window_bytes = 0;
  uint32_t size = 0;
  uint32_t rank = 0;
  std::atomic<uint32_t> layout{0};
};

struct alignas(kLineBytes) BlockedLine {
  std::atomic<uint64_t> goal{0};  // Goal::packed()
};

struct alignas(kLineBytes) ProgressLine {
  std::atomic<uint32_t> steps{0};
  std::atomic<uint32_t> inside{0};
  std::atomic<uint64_t> recorder{0};  // where the owner keeps its FlightLog; of no use to peers
};

struct alignas(kLineBytes) FingerprintSlot {
  std::atomic<uint64_t> words[kLineBytes / 8] = {};
};

struct alignas(kLineBytes) FailureArea {
  std::atomic<uint32_t> published{0};  // written last
  std::atomic<uint32_t> code{0};
  std::atomic<uint32_t> culprit{0};
  std::atomic<uint32_t> length{0};
  std::atomic<uint8_t> text[kFailureTextBytes] = {};
};

// What one rank tells one other about messages between the two.
struct alignas(kLineBytes) PairLine {
  std::atomic<uint32_t> sent{0};
  std::atomic<uint32_t> dtype{0};
  std::atomic<uint64_t> count{0};
  alignas(kLineBytes / 2) std::atomic<uint32_t> taken{0};
};

struct Segment {
  IdentityLine identity;
  CounterLine state;
  CounterLine claim;
  CounterLine bell;
  BlockedLine blocked;
  ProgressLine progress;
  CounterLine counters[kCounters];
  FingerprintSlot slots[2];
  FailureArea failure;
  alignas(kPairsAt) PairLine pairs[kMaxRanks];
};
static_assert(sizeof(Segment) == kHeaderBytes && std::atomic<uint64_t>::is_always_lock_free);
static_assert(offsetof(Segment, pairs) == kPairsAt);
static_assert(offsetof(Segment, state) == 128 && offsetof(Segment, bell) == 384 && offsetof(Segment, counters) == 768);
static_assert(offsetof(Segment, slots) == 1280 && offsetof(Segment, failure) == 1536);

// Bytes behind a window of that size for messages under way.
size_t outbox_bytes_for(size_t window_bytes);

// Window of one rank: `requested`, or TANDEM_WINDOW_MB, at most HCCL_BUFFSIZE and 64 MiB / size, whole pages.
size_t window_bytes_for(int size, size_t requested);

// A segment mapped into this process. Not mapped in forked children.
class SegmentMap {
 public:
  // A new segment of `rank`, all its memory reserved, size sealed.
  static Expected<SegmentMap> create(int rank, int size, size_t window_bytes);
  // Maps the segment that `rank` of `size` passed, after checking seals, size and identity.
  static Expected<SegmentMap> adopt(Descriptor descriptor, int rank, int size);
  ~SegmentMap();
  SegmentMap(SegmentMap&& other) noexcept;
  SegmentMap& operator=(SegmentMap&&) = delete;

  Segment* segment() const { return reinterpret_cast<Segment*>(base_); }
  std::byte* window() const { return base_ + kHeaderBytes; }
  size_t window_bytes() const { return bytes_ - kHeaderBytes - outbox_bytes(); }
  // Behind the window: pieces of messages under way.
  std::byte* outbox() const { return window() + window_bytes(); }
  size_t outbox_bytes() const;
  int descriptor() const { return descriptor_.get(); }
  // The mapping keeps the memory; descriptors are needed only until all ranks have joined.
  void close_descriptor() noexcept { descriptor_.close(); }

 private:
  SegmentMap(Descriptor descriptor, std::byte* base, size_t bytes);
  Descriptor descriptor_;
  std::byte* base_;
  size_t bytes_;
  uint32_t generation_;
};

}  // namespace tandem
