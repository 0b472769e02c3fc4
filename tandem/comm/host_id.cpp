// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/host_id.h"

#include <unistd.h>

#include <fstream>

#include "tandem/base/env.h"
#include "tandem/comm/fingerprint.h"

namespace tandem {
namespace {

constexpr size_t kMost = 79;

std::string running_kernel() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (std::getline(file, id) && !id.empty()) return id;
  char name[64] = "unknown";
  gethostname(name, sizeof name - 1);
  return name;
}

std::string network_namespace() {
  char link[64] = {};
  return readlink("/proc/self/ns/net", link, sizeof link - 1) > 0 ? link : "net";
}

}  // namespace

std::string host_id() {
  const auto set = env_text("TANDEM_HOST_ID");
  return printable(set ? *set : running_kernel() + " " + network_namespace(), kMost);
}

}  // namespace tandem
