// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "tandem/comm/communicator.h"
#include "tandem/comm/segment.h"

namespace tandem {

// Copies into and out of shared memory word by word, so that a peer that scribbles meanwhile changes values only.
void store_fingerprint(FingerprintSlot& slot, const Fingerprint& fingerprint);
Fingerprint load_fingerprint(const FingerprintSlot& slot);

// Equal in everything but `local`.
bool same_call(const Fingerprint& a, const Fingerprint& b);
// A number that is the same for the same call, and another for another but by a chance of 2^-64.
uint64_t digest_of(Fingerprint fingerprint);
// "mm_all_reduce rows=16 n=32 output=f16": all fields that are set. Safe for text of a hostile peer.
std::string describe(const Fingerprint& fingerprint);

// What is wrong with a set of calls, one per rank; `culprit` < 0 when they agree. The same on every rank.
struct Disagreement {
  int culprit = -1;
  std::string text;
};
Disagreement compare_calls(std::span<const Fingerprint> calls);

// At most `limit` bytes of `text`, everything but printable ASCII and UTF-8 bytes replaced.
std::string printable(std::string_view text, size_t limit);

}  // namespace tandem
