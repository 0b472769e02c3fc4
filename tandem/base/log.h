// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <string_view>
#include <utility>

#pragma GCC visibility push(default)
namespace tandem {

enum class LogLevel : int { trace, debug, info, warn, error, off };

bool log_enabled(LogLevel level);
// One line on stderr: "[tandem] warn: text". Never throws, never sends anything anywhere.
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
