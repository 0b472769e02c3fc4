// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

#include "tandem/base/status.h"
#include "tandem/exec/memory.h"

namespace tandem::bench {

// Memory of one rank: private huge pages, or device memory, which peers may map.
class Buffer {
 public:
  Buffer() = default;
  static Expected<Buffer> allocate(size_t bytes, bool device);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  std::byte* data() const { return data_; }

 private:
  Pages pages_;
  void* device_ = nullptr;
  std::byte* data_ = nullptr;
};

}  // namespace tandem::bench
