// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/comm/fault.h"
#include "tandem/comm/fork.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/reserve.h"
#include "tandem/version.h"

namespace tandem {
namespace {

constexpr char kMagic[8] = {'T', 'A', 'N', 'D', 'E', 'M', 'S', 'G'};
constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kPage = 4096;
constexpr size_t kOutboxShare = 16;
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

tl::unexpected<Error> no_space(size_t wanted, size_t available, int error) {
  return fail(
      ErrorCode::out_of_memory,
      fmt::format("window: {} MiB wanted, {} MiB of memory free ({}); set TANDEM_WINDOW_MB lower or free memory",
                  wanted / kMiB, available / kMiB, strerrordesc_np(error)));
}

// A window without memory behind it would end in SIGBUS at first touch, so all of it is reserved now.
Status reserve(int descriptor, size_t bytes) {
  const int error = reserve_file(descriptor, bytes);
  if (error != 0) return no_space(bytes, device_memory_info().free_bytes, error);
  return {};
}

Expected<Descriptor> make_memfd(size_t bytes) {
  Descriptor descriptor(memfd_create("tandem-window", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!descriptor.valid()) {
    return fail(ErrorCode::unsupported,
                fmt::format("window: memfd_create failed ({}); Linux 3.17 or newer and a seccomp filter that allows it "
                            "are wanted",
                            strerrordesc_np(errno)));
  }
  if (Status s = reserve(descriptor.get(), bytes); !s) return fail(s.error());
  if (fcntl(descriptor.get(), F_ADD_SEALS, kSizeSeals) != 0) {
    return fail(ErrorCode::unsupported, fmt::format("window: sealing failed ({})", strerrordesc_np(errno)));
  }
  return descriptor;
}

Expected<std::byte*> map(int descriptor, size_t bytes) {
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (base == MAP_FAILED) {
    return fail(ErrorCode::out_of_memory,
                fmt::format("window: mapping {} MiB failed ({}); see ulimit -v", bytes / kMiB, strerrordesc_np(errno)));
  }
  madvise(base, bytes, MADV_DONTFORK);
  return static_cast<std::byte*>(base);
}

// Bytes of a passed descriptor, if it really is a sealed segment.
Expected<size_t> checked_size(int descriptor, int rank) {
  struct stat info {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(ErrorCode::malformed, fmt::format("connect: rank {} passed a descriptor that is no segment", rank));
  }
  const int seals = fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals) {
    return fail(ErrorCode::malformed, fmt::format("connect: the segment of rank {} is not sealed", rank));
  }
  constexpr size_t kMost = kHeaderBytes + kCommunicatorBytes + kCommunicatorBytes / kOutboxShare;
  const bool fits = info.st_size >= static_cast<off_t>(kHeaderBytes + 2 * kPage) &&
                    info.st_size <= static_cast<off_t>(kMost);
  if (!fits || static_cast<size_t>(info.st_size) % kPage != 0) {
    return fail(ErrorCode::malformed, fmt::format("connect: the segment of rank {} has {} bytes, whole pages up to "
                                                  "{} wanted",
                                                  rank, info.st_size, kMost));
  }
  return static_cast<size_t>(info.st_size);
}

Status check_identity(const IdentityLine& identity, int rank, int size, size_t window_bytes) {
  const bool complete = identity.layout.load(std::memory_order_acquire) == kLayoutVersion;
  const bool same = std::memcmp(identity.magic, kMagic, sizeof kMagic) == 0 &&
                    identity.rank == static_cast<uint32_t>(rank) && identity.size == static_cast<uint32_t>(size) &&
                    identity.window_bytes == window_bytes &&
                    std::strncmp(identity.build, build(), sizeof identity.build) == 0;
  if (complete && same) return {};
  return fail(ErrorCode::mismatch,
              fmt::format("connect: the segment of rank {} does not carry rank {} of {} of build {}, layout {}", rank,
                          rank, size, build(), kLayoutVersion));
}

void write_identity(Segment& segment, int rank, int size, size_t window_bytes) {
  IdentityLine& identity = segment.identity;
  std::memcpy(identity.magic, kMagic, sizeof kMagic);
  std::strncpy(identity.build, build(), sizeof identity.build - 1);
  identity.window_bytes = window_bytes;
  identity.size = static_cast<uint32_t>(size);
  identity.rank = static_cast<uint32_t>(rank);
  segment.state.value.store(static_cast<uint32_t>(RankState::joined), std::memory_order_relaxed);
  identity.layout.store(kLayoutVersion, std::memory_order_release);
}

}  // namespace

size_t outbox_bytes_for(size_t window_bytes) {
  const size_t pages = window_bytes / kPage;
  return (pages + kOutboxShare - 1) / kOutboxShare * kPage;
}

size_t window_bytes_for(int size, size_t requested) {
  const size_t share = kCommunicatorBytes / static_cast<size_t>(size);
  const auto bound = static_cast<size_t>(env_integer("HCCL_BUFFSIZE", 1, INT32_MAX).value_or(INT32_MAX)) * kMiB;
  size_t bytes = requested;
  if (bytes == 0) bytes = static_cast<size_t>(env_integer("TANDEM_WINDOW_MB", 1, INT32_MAX).value_or(8)) * kMiB;
  bytes = std::clamp(std::min(bytes, bound), kPage, share);
  return bytes / kPage * kPage;
}

SegmentMap::SegmentMap(Descriptor descriptor, std::byte* base, size_t bytes)
    : descriptor_(std::move(descriptor)), base_(base), bytes_(bytes), generation_(fork_generation()) {}

SegmentMap::SegmentMap(SegmentMap&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(other.bytes_),
      generation_(other.generation_) {}

// The inverse of outbox_bytes_for(): of 17 pages 16 are the window's, and the last ones begun.
size_t SegmentMap::outbox_bytes() const {
  const size_t pages = (bytes_ - kHeaderBytes) / kPage;
  return (pages - pages * kOutboxShare / (kOutboxShare + 1)) * kPage;
}

SegmentMap::~SegmentMap() {
  // In a forked child the range was never mapped and may hold something else by now.
  if (base_ != nullptr && generation_ == fork_generation()) munmap(base_, bytes_);
}

Expected<SegmentMap> SegmentMap::create(int rank, int size, size_t window_bytes) {
  const size_t bytes = kHeaderBytes + window_bytes + outbox_bytes_for(window_bytes);
  if (fault_injected("memory", rank)) return no_space(bytes, 0, ENOSPC);
  auto descriptor = make_memfd(bytes);
  if (!descriptor) return fail(descriptor.error());
  const auto base = map(descriptor->get(), bytes);
  if (!base) return fail(base.error());
  write_identity(*new (*base) Segment, rank, size, window_bytes);
  return SegmentMap(std::move(*descriptor), *base, bytes);
}

Expected<SegmentMap> SegmentMap::adopt(Descriptor descriptor, int rank, int size) {
  const auto bytes = checked_size(descriptor.get(), rank);
  if (!bytes) return fail(bytes.error());
  const auto base = map(descriptor.get(), *bytes);
  if (!base) return fail(base.error());
  SegmentMap made(std::move(descriptor), *base, *bytes);
  if (Status s = check_identity(made.segment()->identity, rank, size, made.window_bytes()); !s) return fail(s.error());
  return made;
}

}  // namespace tandem
