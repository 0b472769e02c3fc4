// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"

namespace tandem {

// A pattern that cuts a text into its matches and what lies between them (the "Isolated" behaviour). Patterns are those
// of PCRE2 with Unicode classes; where one gives up (its limits), the rest stays whole.
class SplitPattern {
 public:
  // unsupported where this build has no PCRE2.
  static Expected<std::shared_ptr<const SplitPattern>> compile(const std::string& pattern);
  virtual ~SplitPattern() = default;
  virtual void split(std::string_view text, std::vector<std::string_view>& pieces) const = 0;
};

// Normal form C of valid UTF-8, other texts as they are. `available`: whether this build has utf8proc.
bool composition_available();
std::string composed(const std::string& text);

}  // namespace tandem
