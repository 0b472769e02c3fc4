// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

// Fault injection for tests. TANDEM_FAULT = "<kind>:rank=<r>[:step=<name>][:count=<n>]".
//   kind   kill (SIGKILL to the own process), stop (SIGSTOP), or a kind an operator asks for: flip
//   step   begin, ready, done, free, await, end; absent = every step (kill and stop only)
//   count  acts at the n-th match only; absent = the first one for kill and stop, every one for other kinds
struct FaultSpec {
  std::string kind;
  int rank = 0;
  std::string step;
  int64_t count = 0;
};

// Nothing when the text does not follow the grammar.
std::optional<FaultSpec> parse_fault(std::string_view text);

// Reads TANDEM_FAULT anew; every local() and connect() does it. A malformed value is reported and ignored.
void load_faults();

// Whether the fault of this kind acts now on `rank`. Costs one relaxed load where no fault is set.
bool fault_injected(std::string_view kind, int rank);

// Kills or stops the process if the fault says so for this step of this rank.
void fault_point(std::string_view step, int rank);

}  // namespace tandem
