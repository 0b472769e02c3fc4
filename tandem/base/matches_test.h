// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <regex.h>

#include <string>

namespace tandem::testing {

// Whether `form`, an extended regular expression of POSIX, is found in a text. (std::regex does not compile without
// warnings under the sanitizers.)
inline bool matches(const std::string& text, const std::string& form) {
  regex_t compiled;
  if (regcomp(&compiled, form.c_str(), REG_EXTENDED | REG_NOSUB) != 0) return false;
  const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
  regfree(&compiled);
  return found;
}

}  // namespace tandem::testing
