// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

namespace tandem::tool {

// Instruction sets of this CPU that kernel tables use, by their names in /proc/cpuinfo.
std::vector<std::string> cpu_features();
// What the runtime needs of the kernel: empty when it works, else why not.
std::string probe_memfd();
std::string probe_pidfd();
// Soft limit of open files and of processes; -1 = none.
long open_files_limit();
long processes_limit();

}  // namespace tandem::tool
