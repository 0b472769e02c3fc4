// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/peer_arenas.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tandem/comm/descriptor.h"

namespace tandem {
namespace {

// Arenas a communicator remembers; then it begins anew, on all ranks at the same call.
constexpr size_t kMostAgreed = 256;
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

// Bytes of a sealed memory file of this user; 0 when it is anything else.
size_t sealed_bytes(int descriptor) {
  struct stat info {};
  const int seals = fcntl(descriptor, F_GET_SEALS);
  const bool sealed = seals >= 0 && (seals & kSizeSeals) == kSizeSeals;
  if (!sealed || fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid()) return 0;
  return info.st_size > 0 ? static_cast<size_t>(info.st_size) : 0;
}

}  // namespace

PeerArenas::PeerArenas(int rank, std::vector<int> pids) : rank_(rank), pids_(std::move(pids)), of_rank_(pids_.size()) {
  const bool threads = std::all_of(pids_.begin(), pids_.end(), [](int pid) { return pid == 0; });
  if (threads) std::fill(pids_.begin(), pids_.end(), getpid());
}

PeerArenas::~PeerArenas() { unmap_all(); }

void PeerArenas::unmap_all() {
  for (auto& arenas : of_rank_) {
    for (const Arena& arena : arenas) {
      if (arena.base != nullptr) munmap(arena.base, arena.bytes);
    }
    arenas.clear();
  }
  agreed_ = 0;
}

void PeerArenas::abandon() noexcept {
  for (auto& arenas : of_rank_) arenas.clear();
}

const PeerArenas::Arena* PeerArenas::find(int rank, uint64_t arena) const {
  const auto& arenas = of_rank_[static_cast<size_t>(rank)];
  const auto found = std::find_if(arenas.begin(), arenas.end(), [&](const Arena& a) { return a.name == arena; });
  return found == arenas.end() ? nullptr : &*found;
}

PeerArenas::Arena& PeerArenas::entry(int rank, uint64_t arena) {
  if (const Arena* found = find(rank, arena)) return const_cast<Arena&>(*found);
  return of_rank_[static_cast<size_t>(rank)].emplace_back(Arena{arena, Known::no, nullptr, 0});
}

// The peer waits in the same call, so its descriptor still is the one it announced. A kernel that hides processes from
// each other refuses, and the window does it.
bool PeerArenas::reach(int rank, const Place& place) {
  const Arena* mapped = find(rank, place.arena);
  if (rank == rank_ || (mapped != nullptr && mapped->base != nullptr)) return true;
  const int pid = pids_[static_cast<size_t>(rank)];
  if (pid <= 0) return false;
  const std::string path = fmt::format("/proc/{}/fd/{}", pid, place.descriptor());
  // First without opening it for use: what stands under that number may be a device or a pipe.
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  const Descriptor descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  const size_t bytes = descriptor.valid() ? sealed_bytes(descriptor.get()) : 0;
  if (bytes == 0) return false;
  // Populated: pages that come one by one would cost more than the copies they save.
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor.get(), 0);
  if (base == MAP_FAILED) return false;
  madvise(base, bytes, MADV_DONTFORK);
  Arena& arena = entry(rank, place.arena);
  arena.base = static_cast<std::byte*>(base);
  arena.bytes = bytes;
  return true;
}

std::byte* PeerArenas::at(int rank, const Place& place, size_t bytes) const {
  const Arena* arena = find(rank, place.arena);
  if (arena == nullptr || arena->base == nullptr) return nullptr;
  return place.offset <= arena->bytes && bytes <= arena->bytes - place.offset ? arena->base + place.offset : nullptr;
}

PeerArenas::Known PeerArenas::known(int rank, uint64_t arena) const {
  const Arena* found = find(rank, arena);
  return found == nullptr ? Known::no : found->known;
}

void PeerArenas::remember(int rank, uint64_t arena, bool reachable) {
  Arena& found = entry(rank, arena);
  if (found.known != Known::no) return;
  found.known = reachable ? Known::reachable : Known::unreachable;
  ++agreed_;
}

void PeerArenas::make_room(size_t more) {
  if (agreed_ + more > kMostAgreed) unmap_all();
}

}  // namespace tandem
