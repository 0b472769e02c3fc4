// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/exec/lane.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/cpu/failure.h"
#include "tandem/kernels/cpu/isa.h"

namespace tandem::TANDEM_ISA {

// 64-byte aligned scratch of one call; never null.
template <class T>
TANDEM_INLINE T* take(Scratch& scratch, int64_t count) {
  void* memory = scratch.take(static_cast<size_t>(count > 0 ? count : 1) * sizeof(T));
  if (memory == nullptr) kernel_out_of_memory();
  return static_cast<T*>(memory);
}

// One piece of scratch for each part of a parallel loop.
template <class T>
class Parts {
 public:
  Parts(Lane& lane, int64_t count_each)
      : each_((count_each + 31) / 16 * 16), memory_(take<T>(*lane.scratch, each_ * lane.team->size())) {}
  // Called once by each part.
  T* claim() { return memory_ + __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED) * each_; }

 private:
  int64_t each_;
  T* memory_;
  int64_t next_ = 0;
};

}  // namespace tandem::TANDEM_ISA
