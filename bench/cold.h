// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tandem/exec/memory.h"

namespace tandem::bench {

// Copies of one operand that together exceed every cache, so that a round through them reads memory.
class ColdOperand {
 public:
  explicit ColdOperand(size_t bytes) : bytes_(bytes), copies_((kColdBytes + bytes - 1) / bytes) {
    auto pages = Pages::allocate(bytes_ * copies_);
    if (!pages) std::abort();
    pages_ = std::move(*pages);
    auto* data = pages_.as<uint8_t>();
    uint32_t state = 1;
    for (size_t i = 0; i < pages_.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      data[i] = static_cast<uint8_t>(state >> 27);  // small int8; a small positive number as f16 and bf16
    }
  }
  void* next() {
    turn_ = (turn_ + 1) % copies_;
    return pages_.as<uint8_t>() + turn_ * bytes_;
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kColdBytes = 512u << 20;  // above the largest L3 met
  size_t bytes_, copies_, turn_ = 0;
  Pages pages_;
};

}  // namespace tandem::bench
