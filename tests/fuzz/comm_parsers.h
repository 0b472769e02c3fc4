// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "tests/fuzz/parsers.h"

// What other processes send or write: the messages of a rendezvous, and the head of a window with all that peers read
// of it while they work.
namespace tandem::fuzz {

std::span<const Parser> comm_parsers();

// Inputs worth keeping, the legal one first; a name for each.
struct CorpusEntry {
  std::string parser, name, bytes;
  bool accepted = false;
};
std::vector<CorpusEntry> comm_corpus();

}  // namespace tandem::fuzz
