// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/cgroup.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

namespace tandem {
namespace {

constexpr const char* kMount = "/sys/fs/cgroup";

std::optional<double> number_in(const std::string& file) {
  std::ifstream in(file);
  double value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

// Path of this process in a controller's hierarchy: "" names version 2.
std::optional<std::string> own_path(const std::string& controller) {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool match = controller.empty() ? names == ",," : names.find("," + controller + ",") != std::string::npos;
    if (match) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The file of the own group, or of the hierarchy's root as a container sees it.
std::optional<double> own_number(const std::string& mount, const std::string& controller, const std::string& file) {
  const auto path = own_path(controller);
  if (!path) return std::nullopt;
  if (auto value = number_in(mount + *path + "/" + file)) return value;
  return number_in(mount + "/" + file);
}

size_t bytes_of(double value) {
  constexpr double kNoLimit = 0x1p62;  // version 1 writes a huge number for none
  return value >= kNoLimit || value < 0 ? SIZE_MAX : static_cast<size_t>(value);
}

double version2_cores() {
  const auto path = own_path("");
  for (const std::string& folder : {std::string(kMount) + path.value_or(""), std::string(kMount)}) {
    std::ifstream in(folder + "/cpu.max");
    std::string quota;
    double period = 0;
    if (in >> quota >> period && quota != "max" && period > 0) return std::strtod(quota.c_str(), nullptr) / period;
  }
  return 0;
}

double version1_cores() {
  const double quota = own_number(std::string(kMount) + "/cpu", "cpu", "cpu.cfs_quota_us").value_or(0);
  const double period = own_number(std::string(kMount) + "/cpu", "cpu", "cpu.cfs_period_us").value_or(0);
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

CgroupMemory cgroup_memory() {
  CgroupMemory memory;
  if (const auto limit = own_number(kMount, "", "memory.max")) {
    memory.limit = bytes_of(*limit);
    memory.used = bytes_of(own_number(kMount, "", "memory.current").value_or(0));
  } else if (const auto old = own_number(std::string(kMount) + "/memory", "memory", "memory.limit_in_bytes")) {
    memory.limit = bytes_of(*old);
    memory.used = bytes_of(own_number(std::string(kMount) + "/memory", "memory", "memory.usage_in_bytes").value_or(0));
  }
  return memory;
}

int cgroup_cores() {
  constexpr double kMost = 1e6;
  const double cores = std::max(version2_cores(), version1_cores());
  return cores > 0 && cores < kMost ? static_cast<int>(std::ceil(cores)) : 0;
}

}  // namespace tandem
