// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
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

// The same of ranks on other hosts.
std::span<const Parser> far_parsers();
std::vector<CorpusEntry> far_corpus();

template <class Message>
Message message_of(std::string_view bytes) {
  Message made;
  std::memset(static_cast<void*>(&made), 0, sizeof made);
  std::memcpy(static_cast<void*>(&made), bytes.data(), std::min(bytes.size(), sizeof made));
  return made;
}

template <class Message>
std::string bytes_of(const Message& message) {
  return std::string(reinterpret_cast<const char*>(&message), sizeof message);
}

}  // namespace tandem::fuzz
