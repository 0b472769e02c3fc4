// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace tandem {

struct Topology {
  int usable_cores = 1;      // affinity mask, cut by the cgroup's CPU quota
  std::vector<int> cores;    // operating system numbers of the cores in the affinity mask
  int numa_nodes = 1;
  size_t l1d_bytes = 32768, l2_bytes = 524288, l3_bytes = 0;
  std::string cpu_name;
};

// Read once; later changes of the affinity mask are not followed.
const Topology& topology();

}  // namespace tandem
#pragma GCC visibility pop
