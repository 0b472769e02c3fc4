// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/buffers.h"

#include <cstring>
#include <utility>

namespace tandem::bench {

Expected<Buffer> Buffer::allocate(size_t bytes, bool device) {
  Buffer made;
  if (device) {
    const auto block = device_allocate(bytes);
    if (!block) return fail(block.error());
    made.device_ = *block;
    made.data_ = static_cast<std::byte*>(*block);
  } else {
    auto pages = Pages::allocate(bytes);
    if (!pages) return fail(pages.error());
    made.pages_ = std::move(*pages);
    made.data_ = made.pages_.as<std::byte>();
  }
  std::memset(made.data_, 0, bytes);
  return made;
}

Buffer::~Buffer() {
  if (device_ != nullptr) (void)device_free(device_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : pages_(std::move(other.pages_)),
      device_(std::exchange(other.device_, nullptr)),
      data_(std::exchange(other.data_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(pages_, other.pages_);
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  return *this;
}

}  // namespace tandem::bench
