// SPDX-License-Identifier: Apache-2.0
#include "collective_run.h"

#include <fmt/format.h>

#include <cstring>

#include "tandem/kernels/table.h"

namespace tandem::test {
namespace {

// A copy of `data` that begins at an odd address.
struct Odd {
  explicit Odd(const Bytes& data) : bytes(data.size() + 1) {
    if (!data.empty()) std::memcpy(bytes.data() + 1, data.data(), data.size());
  }
  std::byte* data() { return bytes.data() + 1; }
  Bytes copy() const { return Bytes(bytes.begin() + 1, bytes.end()); }
  Bytes bytes;
};

}  // namespace

std::string run_case(const CollectiveCase& c, Communicator& comm, Lane& lane) {
  const CollectiveBuffers buffers = make_buffers(c, comm.rank());
  Odd in(buffers.in), out(buffers.out);
  std::byte* result = out.data() + buffers.out_at;
  const std::byte* given = c.in_place ? out.data() + buffers.in_at : in.data();
  if (Status s = call_collective(c, comm, given, result, lane); !s) return c.text() + ": " + s.error().message;
  const Bytes got = out.copy(), wanted = expected_output(c, comm.rank());
  if (const std::string text = outside_bound(c, comm.rank(), got); !text.empty()) return c.text() + ": " + text;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (got[i] == wanted[i]) continue;
    return fmt::format("{}: rank {}: byte {} is {:02x}, {:02x} wanted", c.text(), comm.rank(), i,
                       static_cast<unsigned>(got[i]), static_cast<unsigned>(wanted[i]));
  }
  return {};
}

bool runnable(const CollectiveCase& c) { return !c.reduces() || default_table().reduce.combine != nullptr; }

}  // namespace tandem::test
