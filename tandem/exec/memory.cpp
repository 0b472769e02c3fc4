// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace tandem {

struct Scratch::Blocks {
  struct Block {
    std::byte* data;
    size_t size;
  };
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kFirstBlock = 1u << 20;
  std::vector<Block> list;
  size_t current = 0;  // block that is being filled
  size_t used = 0;     // bytes of it

  bool grow(size_t bytes) {
    const size_t doubled = list.empty() ? kFirstBlock : list.back().size * 2;
    const size_t size = std::max(doubled, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    auto* data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, size));
    if (data == nullptr) return false;
    list.push_back({data, size});
    return true;
  }
};

Scratch::Scratch() : blocks_(std::make_unique<Blocks>()) {}

Scratch::~Scratch() {
  for (const auto& block : blocks_->list) std::free(block.data);
}

void* Scratch::take(size_t bytes) {
  Blocks& all = *blocks_;
  const size_t wanted = (std::max<size_t>(bytes, 1) + Blocks::kAlignment - 1) / Blocks::kAlignment * Blocks::kAlignment;
  if (wanted < bytes) return nullptr;
  while (all.current < all.list.size() && all.list[all.current].size - all.used < wanted) {
    ++all.current;
    all.used = 0;
  }
  if (all.current == all.list.size() && !all.grow(wanted)) return nullptr;
  std::byte* result = all.list[all.current].data + all.used;
  all.used += wanted;
  return result;
}

Scratch::Mark::Mark(Scratch& scratch)
    : scratch_(scratch), block_(scratch.blocks_->current), used_(scratch.blocks_->used) {}

Scratch::Mark::~Mark() {
  scratch_.blocks_->current = block_;
  scratch_.blocks_->used = used_;
}

Expected<Pages> Pages::allocate(size_t bytes) {
  constexpr size_t kHugePage = 2u << 20;
  Pages pages;
  if (bytes == 0) return pages;
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return fail(ErrorCode::out_of_memory, fmt::format("memory: {} bytes wanted: {}", bytes, std::strerror(errno)));
  }
  if (bytes >= kHugePage) (void)madvise(data, bytes, MADV_HUGEPAGE);
  pages.data_ = data;
  pages.bytes_ = bytes;
  return pages;
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace tandem
