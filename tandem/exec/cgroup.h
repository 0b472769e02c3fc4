// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace tandem {

// Limits of the control group this process runs in, version 1 or 2. Read anew at every call.
struct CgroupMemory {
  size_t limit = SIZE_MAX;  // SIZE_MAX: none
  size_t used = 0;
  size_t free() const { return limit > used ? limit - used : 0; }
};
CgroupMemory cgroup_memory();

// Cores the CPU quota is worth, rounded up; 0 where there is none.
int cgroup_cores();

}  // namespace tandem
