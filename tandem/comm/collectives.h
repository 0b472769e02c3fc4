// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>

#include "tandem/base/dtype.h"
#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/lane.h"
#include "tandem/kernels/reduce.h"

// Collectives between the ranks of a communicator. They run on the calling thread; every rank calls the same ones in
// the same order, one at a time (take_ticket() orders streams). Counts and displacements are elements.
//
// Types: i8 to i64, u8 to u64, f16, bf16, f32, f64. Combinations: sum, product, maximum, minimum, average; floats by
// tree() over the ranks in f32 (f64) and one rounding, integers wrap: the same bits on every rank, whatever the size of
// the window, and all_reduce equals reduce_scatter followed by all_gather. Pointers need no alignment and may be null
// where nothing is read or written. `out` may be `in`, or the part of it where this rank's result belongs; other
// overlaps of the two are not defined.
//
// Errors: null_argument, invalid_argument and unsupported before anything was announced; then mismatch (count, type,
// combination, root or counts differ; no result was written on any rank), peer_lost, timed_out.
#pragma GCC visibility push(default)
namespace tandem {

// Parts of a buffer, one a rank: `counts[r]` elements from element `displacements[r]` on.
struct Parts {
  std::span<const int64_t> counts, displacements;
};

Status all_reduce(Communicator& comm, const void* in, void* out, int64_t count, DType type, Combine how, Lane& lane);
// `out` is used on `root` only.
Status reduce(Communicator& comm, const void* in, void* out, int64_t count, DType type, Combine how, int root,
              Lane& lane);
// Rank r receives elements [r * count, (r + 1) * count) combined.
Status reduce_scatter(Communicator& comm, const void* in, void* out, int64_t count, DType type, Combine how,
                      Lane& lane);
// Rank r receives part r combined. Parts may lie in any order, overlap and leave gaps; all ranks give the same.
Status reduce_scatter_v(Communicator& comm, const void* in, const Parts& parts, void* out, DType type, Combine how,
                        Lane& lane);

// `count` elements of every rank, in rank order.
Status all_gather(Communicator& comm, const void* in, void* out, int64_t count, DType type, Lane& lane);
// Rank r gives parts.counts[r] elements, which every rank finds in part r of its `out`; all ranks give the same parts.
Status all_gather_v(Communicator& comm, const void* in, void* out, const Parts& parts, DType type, Lane& lane);
Status broadcast(Communicator& comm, void* data, int64_t count, DType type, int root, Lane& lane);
// `in` is used on `root` only: count elements for each rank, in rank order.
Status scatter(Communicator& comm, const void* in, void* out, int64_t count, DType type, int root, Lane& lane);
// `out` is used on `root` only.
Status gather(Communicator& comm, const void* in, void* out, int64_t count, DType type, int root, Lane& lane);

// Block p of `in` goes to rank p, block p of `out` came from rank p.
Status all_to_all(Communicator& comm, const void* in, void* out, int64_t count, DType type, Lane& lane);
// Part p of `in` goes to rank p, part p of `out` comes from rank p. `in` and `out` must not overlap.
Status all_to_all_v(Communicator& comm, const void* in, const Parts& sends, void* out, const Parts& receives,
                    DType type, Lane& lane);
// matrix[s * size + d] elements go from rank s to rank d, packed by rank in `in` and in `out`.
Status all_to_all_vc(Communicator& comm, const void* in, void* out, std::span<const int64_t> matrix, DType type,
                     Lane& lane);

Status barrier(Communicator& comm, Lane& lane);

// Messages between two ranks; the others take no part. A message ends on both sides when the receiver has it, so two
// ranks that both send first wait for each other until the deadline: batch_send_recv() is for that.
Status send(Communicator& comm, const void* in, int64_t count, DType type, int to, Lane& lane);
Status recv(Communicator& comm, void* out, int64_t count, DType type, int from, Lane& lane);

struct Message {
  enum class Kind : uint8_t { send, receive };
  Kind kind = Kind::send;
  void* data = nullptr;  // read only when sent
  int64_t count = 0;
  DType type = DType::none;
  int peer = 0;  // this rank itself: a send meets the receive of the same place
};
// All of them at once. Messages of one direction between two ranks keep their order.
Status batch_send_recv(Communicator& comm, std::span<const Message> messages, Lane& lane);

}  // namespace tandem
#pragma GCC visibility pop
