// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/parsers.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

// The first byte chooses the parser, unless FUZZ_PARSER names one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto all = tandem::fuzz::parsers();
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  static const char* const wanted = std::getenv("FUZZ_PARSER");
  for (const auto& parser : all) {
    if (wanted != nullptr && parser.name == wanted) (void)parser.accepts(rest);
  }
  if (wanted == nullptr) (void)all[data[0] % all.size()].accepts(rest);
  return 0;
}

// Now and then a well-formed input of one of the parsers takes the place of what was there: no corpus has to be kept.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned int seed) {
  constexpr unsigned int kEvery = 64;
  if (seed % kEvery != 0 || most < 2) return LLVMFuzzerMutate(data, size, most);
  const auto all = tandem::fuzz::parsers();
  const size_t chosen = seed / kEvery % all.size();
  const std::string_view text = all[chosen].seed.substr(0, most - 1);
  data[0] = static_cast<uint8_t>(chosen);
  std::memcpy(data + 1, text.data(), text.size());
  return LLVMFuzzerMutate(data, text.size() + 1, most);
}
