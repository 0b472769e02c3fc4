// SPDX-License-Identifier: Apache-2.0
#pragma once

// Rounds of "make a communicator, work, abort, make it again"; each fails the test where descriptors, mappings or more
// than 1 MiB of memory grew, and prints what it saw.
namespace tandem::test {

void abort_and_start_again_as_threads(int rounds);
void abort_and_start_again_as_processes(int rounds);

}  // namespace tandem::test
