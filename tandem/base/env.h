// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace tandem {

// One environment variable this library reads. No other place may call getenv.
struct EnvVariable {
  std::string_view name;
  std::string_view type;      // "integer", "number", "text", "choice a|b"; "unused": of the vendor's, without effect
  std::string_view fallback;  // what holds when it is unset
  std::string_view help;
};

// All of them, for `tandem doctor` and the documentation.
std::span<const EnvVariable> env_table();

// The value of a listed variable, or nothing when unset or empty. A name outside the table is a fault of ours.
std::optional<std::string> env_text(std::string_view name);
// The value as an integer in [low, high]; a malformed or outside value is reported once on stderr and ignored.
std::optional<int64_t> env_integer(std::string_view name, int64_t low, int64_t high);
std::optional<double> env_number(std::string_view name, double low, double high);

// One line on stderr about the variables of the vendor's that are set and have no effect; once in a process.
void warn_of_unused_variables();

// Environment of a child process: this one's, with the listed variables set.
struct EnvSetting {
  std::string_view name;
  std::string value;
};
std::vector<std::string> env_for_child(std::span<const EnvSetting> settings);
std::vector<std::string> env_for_child(std::string_view name, std::string_view value);

}  // namespace tandem
#pragma GCC visibility pop
