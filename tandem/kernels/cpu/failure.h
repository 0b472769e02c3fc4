// SPDX-License-Identifier: Apache-2.0
#pragma once

#pragma GCC visibility push(default)
namespace tandem {

// A kernel has no way to report and must not go on with wrong numbers: says so and ends the process.
[[noreturn]] void kernel_out_of_memory();

}  // namespace tandem
#pragma GCC visibility pop
