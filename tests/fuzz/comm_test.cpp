// SPDX-License-Identifier: Apache-2.0
// The kept inputs of what other processes send; as files for the coverage-guided program with --write-corpus FOLDER.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/fuzz/comm_parsers.h"

namespace tandem::fuzz {
namespace {

const Parser& parser_of(const std::string& name) {
  const auto all = parsers();
  return *std::find_if(all.begin(), all.end(), [&](const Parser& p) { return p.name == name; });
}

std::vector<CorpusEntry> kept_inputs() {
  auto kept = comm_corpus();
  for (auto& entry : far_corpus()) kept.push_back(std::move(entry));
  return kept;
}

TEST(CommParsers, KeptInputsAreJudgedAsBefore) {
  const auto corpus = kept_inputs();
  for (const CorpusEntry& entry : corpus) {
    EXPECT_EQ(parser_of(entry.parser).accepts(entry.bytes), entry.accepted) << entry.parser << ": " << entry.name;
  }
  std::cout << corpus.size() << " inputs\n";
}

// Every single bit of a greeting and an answer, and every byte of a window's head.
TEST(CommParsers, EveryBitMayBeWrong) {
  for (const Parser& parser : comm_parsers()) {
    const bool messages = parser.name != "segment";
    size_t refused = 0;
    for (size_t i = 0; i < parser.seed.size(); i += messages ? 1 : 3) {
      std::string bytes(parser.seed);
      for (int bit = 0; bit < 8; bit += messages ? 1 : 5) {
        bytes[i] = static_cast<char>(parser.seed[i] ^ (1 << bit));
        refused += parser.accepts(bytes) ? 0 : 1;
      }
    }
    EXPECT_GT(refused, 10u) << parser.name;
  }
}

// The first byte of a file names the parser, as libfuzzer.cpp reads it.
int write_corpus(const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto all = parsers();
  size_t number = 0;
  for (const CorpusEntry& entry : kept_inputs()) {
    const auto at = std::find_if(all.begin(), all.end(), [&](const Parser& p) { return p.name == entry.parser; });
    std::ofstream file(folder + "/" + entry.parser + std::to_string(number++), std::ios::binary);
    file << static_cast<char>(at - all.begin()) << entry.bytes;
    if (!file.flush()) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tandem::fuzz

int main(int count, char** arguments) {
  if (count == 3 && std::string(arguments[1]) == "--write-corpus") return tandem::fuzz::write_corpus(arguments[2]);
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
