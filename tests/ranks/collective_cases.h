// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/comm/collectives.h"

// The cases of tests/cases/collectives.json: what every rank gives, and what it must find afterwards.
namespace tandem::test {

using Bytes = std::vector<std::byte>;

struct CollectiveCase {
  std::string family, op;
  Combine how = Combine::sum;
  DType type = DType::f32;
  int ranks = 1, root = 0;
  int64_t count = 0;
  bool in_place = false;
  std::vector<int64_t> counts, at;  // v forms
  std::vector<int64_t> sends;       // [ranks * ranks], row = sender

  std::string text() const;
  bool reduces() const;
  bool rooted() const;
};

std::vector<CollectiveCase> read_collective_cases();

// Buffers of one rank. `in` lies inside `out` at in_at where the case says in place; then `in` is empty.
struct CollectiveBuffers {
  Bytes in, out;
  size_t in_at = 0, out_at = 0;  // where the operator's output begins in `out`
};
CollectiveBuffers make_buffers(const CollectiveCase& c, int rank);
// All of `out` afterwards, also what must not be touched.
Bytes expected_output(const CollectiveCase& c, int rank);
// Floats only: whether `got` lies within the rounding bound of the combination in double precision.
std::string outside_bound(const CollectiveCase& c, int rank, const Bytes& got);

// Parts of rank `rank` in all_to_all_v: what it sends and receives.
struct ExchangeParts {
  std::vector<int64_t> send_counts, send_at, receive_counts, receive_at;
};
ExchangeParts exchange_parts(const CollectiveCase& c, int rank);

// The C++ call.
Status call_collective(const CollectiveCase& c, Communicator& comm, const std::byte* in, std::byte* out, Lane& lane);

}  // namespace tandem::test
