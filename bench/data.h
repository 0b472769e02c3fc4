// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/exec/memory.h"

namespace tandem::bench {

struct Random {
  uint64_t state;

  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
};

// Elements of any stored type.
struct Values {
  DType dtype = DType::none;
  int64_t count = 0;
  std::vector<uint8_t> bytes;

  Values() = default;
  Values(DType type, int64_t elements) : dtype(type), count(elements), bytes(dtype_bytes(type, elements), uint8_t{0}) {}
  float get(int64_t i) const;
  void set(int64_t i, float value);
  void* data() { return bytes.data(); }
  const void* data() const { return bytes.data(); }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

// Floats: random sign and mantissa, exponents from 2^low to 2^high, never subnormal. Integers: the full range, lowest
// value included.
void fill(Values& values, Random& random, int low = -8, int high = 0);

// Copies of one block of operands, enough of them that a round through all reads memory and not a cache.
class Pool {
 public:
  Pool(const void* block, size_t bytes, size_t wanted_bytes);
  uint8_t* next();
  size_t block_bytes() const { return block_bytes_; }
  size_t total_bytes() const { return pages_.size(); }

 private:
  size_t block_bytes_, copies_, turn_ = 0;
  Pages pages_;
};

// Twice the last cache, at least 512 MiB, at most a quarter of the memory that is free.
size_t pool_bytes(bool quick);

}  // namespace tandem::bench
