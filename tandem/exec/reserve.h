// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace tandem {

// Promises memory for the first `bytes` of a memory file; 0, or the errno that says why not. ENOMEM at once when more
// is wanted than the host or the control group has free: the kernel would answer such a request by killing somebody.
int reserve_file(int descriptor, size_t bytes);

}  // namespace tandem
