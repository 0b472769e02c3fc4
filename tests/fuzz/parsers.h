// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace tandem::fuzz {

// A parser of untrusted text: takes any bytes, keeps nothing, must neither crash nor allocate without bound.
struct Parser {
  std::string_view name;
  bool (*accepts)(std::string_view bytes);
  std::string_view seed;  // a well-formed input to start from
};
std::span<const Parser> parsers();

}  // namespace tandem::fuzz
