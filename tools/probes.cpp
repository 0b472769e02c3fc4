// SPDX-License-Identifier: Apache-2.0
#include "tools/probes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

namespace tandem::tool {
namespace {

constexpr std::array<std::string_view, 15> kFeatures = {
    "sse4_2",     "avx",         "f16c",        "fma",      "avx2",  "avx512f", "avx512bw", "avx512vl",
    "avx512vnni", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "asimdhp", "sve"};

long soft_limit(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return -1;
  return limit.rlim_cur == RLIM_INFINITY ? -1 : static_cast<long>(limit.rlim_cur);
}

}  // namespace

std::vector<std::string> cpu_features() {
  std::ifstream file("/proc/cpuinfo");
  std::vector<std::string> found;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (std::find(kFeatures.begin(), kFeatures.end(), word) != kFeatures.end()) found.push_back(word);
    }
    break;
  }
  return found;
}

std::string probe_memfd() {
  const int fd = ::memfd_create("tandem-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return std::strerror(errno);
  const bool works = ::posix_fallocate(fd, 0, 4096) == 0 && ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0;
  const std::string why = works ? "" : std::strerror(errno);
  ::close(fd);
  return why;
}

std::string probe_pidfd() {
  const long fd = ::syscall(SYS_pidfd_open, ::getpid(), 0);
  if (fd < 0) return std::strerror(errno);
  ::close(static_cast<int>(fd));
  return "";
}

long open_files_limit() { return soft_limit(RLIMIT_NOFILE); }
long processes_limit() { return soft_limit(RLIMIT_NPROC); }

}  // namespace tandem::tool
