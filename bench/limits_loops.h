// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace tandem::bench {

enum class CopyForm : uint8_t { plain, streaming };

// What one core can do with one instruction set, as loops to be timed. Counts of operations are of one step.
struct LimitLoops {
  const char* name;
  int read_patterns;
  const char* (*read_pattern_name)(int pattern);
  uint64_t (*read)(const void* from, size_t bytes, int pattern);       // bytes: a multiple of 64
  void (*copy)(void* to, const void* from, size_t bytes, CopyForm form);  // 64-byte aligned, a multiple of 64
  int fma_operations;
  float (*fma)(int64_t steps);
  int madd_operations;  // 0: the set has no such instruction
  int32_t (*madd)(int64_t steps);
  int dot_operations;
  int32_t (*dot)(int64_t steps);
};

}  // namespace tandem::bench
