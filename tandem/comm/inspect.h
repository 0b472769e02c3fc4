// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

// What the ranks of process `pid` are doing, as text: for each of its communicators who waits for whom at which
// operator and sequence number, who holds the others up, and the `last` operators (at most 2000) of each rank that
// lives in that process. Only reads memory: the process, which may be stopped or hang, is neither stopped nor changed.
// Errors: invalid_argument (no such process, or none of its ranks), io (its memory may not be read: another user, or
// kernel.yama.ptrace_scope), mismatch (another build of this library).
Expected<std::string> inspect_process(int pid, int last = 20);

}  // namespace tandem
#pragma GCC visibility pop
