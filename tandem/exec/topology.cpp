// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/topology.h"

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

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

// Cores the cgroup's CPU quota is worth, rounded up; 0 where there is no quota.
int quota_in(const std::string& file) {
  std::ifstream in(file);
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 0;
  const double cores = std::strtod(quota.c_str(), nullptr) / period;
  return cores > 0 && cores < 1e6 ? std::max(1, static_cast<int>(cores + 0.999)) : 0;
}

int cgroup_quota() {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    if (const int own = quota_in("/sys/fs/cgroup" + line.substr(3) + "/cpu.max"); own > 0) return own;
  }
  return quota_in("/sys/fs/cgroup/cpu.max");
}

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

Topology read_topology() {
  Topology result;
  result.cores = affinity_cores();
  result.usable_cores = static_cast<int>(result.cores.size());
  if (const int quota = cgroup_quota(); quota > 0) result.usable_cores = std::min(result.usable_cores, quota);
  read_hardware(result);
  return result;
}

}  // namespace

const Topology& topology() {
  static const Topology instance = read_topology();
  return instance;
}

}  // namespace tandem
