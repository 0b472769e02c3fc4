// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "tandem/base/status.h"

namespace tandem {

// Fault injection, a documented feature: docs/faults.md. TANDEM_FAULT = "<kind>:<field>,<field>...", fields in any
// order, separated by commas or colons:
//   rank=R    whose step it is; required
//   step=S    a name (begin, ready, done, free, await, end, sent, taken), or a number: the S-th step of any name
//   count=N   acts at the N-th match only; absent: at the first one, for flip, drop and memory at every one
//   ms=T      delay only: milliseconds
// Kinds: kill, stop (signals to the own process), delay, drop (a step is not told to the peers), corrupt (the own
// segment is filled with noise), memory (no memory for the window), flip (asked for by operators).
struct FaultSpec {
  std::string kind;
  int rank = 0;
  std::string step;
  int64_t count = 0;
  int64_t ms = 0;
};

// invalid_argument with the field and what was wanted when the text does not follow the grammar.
Expected<FaultSpec> parse_fault(std::string_view text);

// Reads TANDEM_FAULT anew; every local() and connect() does it. A malformed value is an error: a test whose fault is
// misspelt must not pass.
Status load_faults();

// Whether the fault of this kind acts now on `rank`. Costs one relaxed load where no fault is set.
bool fault_injected(std::string_view kind, int rank);

// What the caller of a step has to do: nothing special, leave its news out, or fill its segment with noise first.
enum class FaultAct : uint8_t { none, drop, corrupt };

// Kills, stops or delays the process if the fault says so for this step of this rank.
FaultAct fault_point(std::string_view step, int rank);

// For tests: where to write the time just before a fault acts, and how many steps of the fault's rank there were.
void watch_fault(std::atomic<int64_t>* moment_ns);
int64_t fault_matches();

}  // namespace tandem
