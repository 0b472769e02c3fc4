// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tandem {

// With TANDEM_SIGUSR1=1 and no handler of the program's own: SIGUSR1 prints inspect_process() of this process to
// stderr, from a thread that sleeps until then. Called when a communicator is made.
void offer_report_on_signal();

}  // namespace tandem
