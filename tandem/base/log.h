// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)
namespace tandem {

enum class LogLevel : int { trace, debug, info, warn, error, off };

// What the environment asks for: TANDEM_LOG, else the vendor's variables (ASCEND_*, ASDOPS_*).
struct LogSettings {
  LogLevel level = LogLevel::warn;
  bool to_stdout = false;  // to stdout, or to a file in `folder`: lines in the vendor's form
  std::string folder;
};
LogSettings log_settings();

bool log_enabled(LogLevel level);
// One line: "[tandem] warn: text" on stderr, or as the settings say. Never throws, never sends anything anywhere.
void log_line(LogLevel level, std::string_view text) noexcept;

template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::warn)) log_line(LogLevel::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::info)) log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::debug)) log_line(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tandem
#pragma GCC visibility pop
