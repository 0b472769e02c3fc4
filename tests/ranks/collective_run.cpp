// SPDX-License-Identifier: Apache-2.0
#include "collective_run.h"

#include <fmt/format.h>

#include <cstring>

#include "tandem/kernels/table.h"

namespace tandem::test {
namespace {

// A copy of `data` that begins at an odd address, with a byte before and one behind it that nobody may touch.
class Odd {
 public:
  Odd(const Bytes& data, bool device) : bytes_(data.size()), device_(device) {
    if (device) {
      const auto block = device_allocate(bytes_ + 2);
      base_ = block ? static_cast<std::byte*>(*block) : nullptr;
    } else {
      own_.resize(bytes_ + 2);
      base_ = own_.data();
    }
    if (base_ == nullptr) return;
    base_[0] = base_[bytes_ + 1] = kGuard;
    if (bytes_ > 0) std::memcpy(base_ + 1, data.data(), bytes_);
  }
  ~Odd() {
    if (device_ && base_ != nullptr) (void)device_free(base_);
  }
  Odd(const Odd&) = delete;
  Odd& operator=(const Odd&) = delete;

  bool valid() const { return base_ != nullptr; }
  bool guarded() const { return base_[0] == kGuard && base_[bytes_ + 1] == kGuard; }
  std::byte* data() { return base_ + 1; }
  Bytes copy() const { return Bytes(base_ + 1, base_ + 1 + bytes_); }

 private:
  static constexpr std::byte kGuard{0x5a};
  size_t bytes_;
  bool device_;
  Bytes own_;
  std::byte* base_ = nullptr;
};

}  // namespace

std::string run_case(const CollectiveCase& c, Communicator& comm, Lane& lane, Memory memory) {
  const CollectiveBuffers buffers = make_buffers(c, comm.rank());
  const bool device = memory == Memory::device || (memory == Memory::mixed && comm.rank() % 2 == 0);
  Odd in(buffers.in, device), out(buffers.out, device);
  if (!in.valid() || !out.valid()) return c.text() + ": no device memory";
  std::byte* result = out.data() + buffers.out_at;
  const std::byte* given = c.in_place ? out.data() + buffers.in_at : in.data();
  if (Status s = call_collective(c, comm, given, result, lane); !s) return c.text() + ": " + s.error().message;
  if (!in.guarded() || !out.guarded()) return c.text() + ": wrote outside its buffers";
  if (!c.in_place && in.copy() != buffers.in) return c.text() + ": changed its input";
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
