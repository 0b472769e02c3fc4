// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/parsers.h"

// The first byte chooses the parser.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto all = tandem::fuzz::parsers();
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  (void)all[data[0] % all.size()].accepts(rest);
  return 0;
}
