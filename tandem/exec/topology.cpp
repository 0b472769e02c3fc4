// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/topology.h"

#include <sched.h>
#if TANDEM_HWLOC
#include <hwloc.h>
#endif

#include <algorithm>
#include <thread>

#include "tandem/exec/cgroup.h"

namespace tandem {
namespace {

std::vector<int> affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(static_cast<size_t>(core), &set)) cores.push_back(core);
    }
  }
  const int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int core = 0; cores.empty() && core < count; ++core) cores.push_back(core);
  return cores;
}

#if TANDEM_HWLOC
size_t cache_bytes(hwloc_topology_t tree, hwloc_obj_type_t type, size_t fallback) {
  const hwloc_obj_t cache = hwloc_get_obj_by_type(tree, type, 0);
  return cache != nullptr && cache->attr->cache.size > 0 ? cache->attr->cache.size : fallback;
}

void read_hardware(Topology& result) {
  hwloc_topology_t tree = nullptr;
  if (hwloc_topology_init(&tree) != 0) return;
  if (hwloc_topology_load(tree) == 0) {
    result.numa_nodes = std::max(1, hwloc_get_nbobjs_by_type(tree, HWLOC_OBJ_NUMANODE));
    result.l1d_bytes = cache_bytes(tree, HWLOC_OBJ_L1CACHE, result.l1d_bytes);
    result.l2_bytes = cache_bytes(tree, HWLOC_OBJ_L2CACHE, result.l2_bytes);
    result.l3_bytes = cache_bytes(tree, HWLOC_OBJ_L3CACHE, result.l3_bytes);
    const hwloc_obj_t package = hwloc_get_obj_by_type(tree, HWLOC_OBJ_PACKAGE, 0);
    const char* name = package != nullptr ? hwloc_obj_get_info_by_name(package, "CPUModel") : nullptr;
    if (name != nullptr) result.cpu_name = name;
  }
  hwloc_topology_destroy(tree);
}
#else
void read_hardware(Topology&) {}
#endif

Topology read_topology() {
  Topology result;
  result.cores = affinity_cores();
  result.usable_cores = static_cast<int>(result.cores.size());
  if (const int quota = cgroup_cores(); quota > 0) result.usable_cores = std::min(result.usable_cores, quota);
  read_hardware(result);
  return result;
}

}  // namespace

const Topology& topology() {
  static const Topology& instance = *new Topology(read_topology());  // threads that outlive main() still ask
  return instance;
}

}  // namespace tandem
