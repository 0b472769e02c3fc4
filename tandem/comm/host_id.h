// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace tandem {

// Ranks with the same text share memory and Unix sockets, others reach each other over UCX: TANDEM_HOST_ID, else the
// running kernel and its network namespace, so that two namespaces of a machine are two hosts. At most 79 characters.
std::string host_id();

}  // namespace tandem
