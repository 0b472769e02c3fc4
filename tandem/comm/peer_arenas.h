// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tandem/exec/memory.h"

namespace tandem {

// Where a buffer lies, as a rank announces it.
struct Place {
  uint64_t arena = 0;  // 1 + descriptor in its process, and the generation above; 0: not in device memory
  uint64_t offset = 0;

  static Place of(const ArenaRange& range) {
    return {uint64_t{range.generation} << 32 | (static_cast<uint32_t>(range.descriptor) + 1u), range.offset};
  }
  int descriptor() const { return static_cast<int>(static_cast<uint32_t>(arena)) - 1; }
};

// Device memory of the peers of a communicator, mapped into this process: whole arenas, checked against the size of
// the file itself. What a peer announced is never trusted further than that.
class PeerArenas {
 public:
  // Ranks without process ids, all of them, are threads of this one.
  PeerArenas(int rank, std::vector<int> pids);
  ~PeerArenas();
  PeerArenas(const PeerArenas&) = delete;
  PeerArenas& operator=(const PeerArenas&) = delete;

  // Maps the arena where it is not yet; false when that is not possible here. Own arenas need no mapping.
  bool reach(int rank, const Place& place);
  // The bytes of a peer's place; null when they do not lie within its arena, or it is not mapped.
  std::byte* at(int rank, const Place& place, size_t bytes) const;

  // What all ranks agreed on, in the same order on each: arenas that every rank can reach, or that some cannot.
  enum class Known : uint8_t { no, reachable, unreachable };
  Known known(int rank, uint64_t arena) const;
  void remember(int rank, uint64_t arena, bool reachable);
  // Before a call whose arenas may be new: forgets everything when it might not have room for them.
  void make_room(size_t more);

  // In a forked child the mappings do not exist.
  void abandon() noexcept;

 private:
  struct Arena {
    uint64_t name;
    Known known;
    std::byte* base;  // null: not mapped
    size_t bytes;
  };
  const Arena* find(int rank, uint64_t arena) const;
  Arena& entry(int rank, uint64_t arena);
  void unmap_all();

  int rank_;
  std::vector<int> pids_;
  std::vector<std::vector<Arena>> of_rank_;
  size_t agreed_ = 0;
};

}  // namespace tandem
