// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <optional>

#include "tandem/base/env.h"

namespace tandem {
namespace {

spdlog::level::level_enum native(LogLevel level) {
  switch (level) {
    case LogLevel::trace: return spdlog::level::trace;
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
    case LogLevel::off: return spdlog::level::off;
  }
  return spdlog::level::off;
}

// DEBUG, WARNING ...: level names as in the vendor's log lines.
class LevelName final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& line) override {
    for (const char c : spdlog::level::to_string_view(message.level)) {
      line.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    }
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override { return std::make_unique<LevelName>(); }
};

// "[LEVEL] MODULE(pid,program):time [file:line][thread]text"; our lines have no place in a file.
std::unique_ptr<spdlog::formatter> vendor_form() {
  auto made = std::make_unique<spdlog::pattern_formatter>();
  made->add_flag<LevelName>('*');
  made->set_pattern(
      fmt::format("[%*] HCCL(%P,{}):%Y-%m-%d-%H:%M:%S.%f [tandem:0][%t]%v", program_invocation_short_name));
  return made;
}

spdlog::sink_ptr make_sink(const LogSettings& settings) {
  if (settings.to_stdout) return std::make_shared<spdlog::sinks::stdout_sink_mt>();
  if (settings.folder.empty()) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  const auto file = fmt::format("{}/plog-{}_{}.log", settings.folder, getpid(), std::time(nullptr));
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
  } catch (const spdlog::spdlog_ex&) {
    return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    const LogSettings settings = log_settings();
    auto made = std::make_shared<spdlog::logger>("tandem", make_sink(settings));
    if (settings.to_stdout || !settings.folder.empty()) {
      made->set_formatter(vendor_form());
    } else {
      made->set_pattern("[tandem] %l: %v");
    }
    made->set_level(native(settings.level));
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

LogLevel own_level(std::string_view name) {
  constexpr std::string_view kNames[] = {"trace", "debug", "info", "warn", "error", "off"};
  const auto found = std::ranges::find(kNames, name);
  return found == std::end(kNames) ? LogLevel::warn : static_cast<LogLevel>(found - std::begin(kNames));
}

// 0 to 4. Read by hand: a complaint about a value would need the logger that is being made.
std::optional<LogLevel> vendor_level(std::string_view digit) {
  constexpr LogLevel kLevels[] = {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error, LogLevel::off};
  if (digit.size() != 1 || digit[0] < '0' || digit[0] > '4') return std::nullopt;
  return kLevels[digit[0] - '0'];
}

// Of "GE=1:HCCL=0" the level of HCCL.
std::optional<LogLevel> module_level() {
  const std::string text = ":" + env_text("ASCEND_MODULE_LOG_LEVEL").value_or("");
  constexpr std::string_view kModule = ":HCCL=";
  const size_t at = text.find(kModule);
  if (at == std::string::npos) return std::nullopt;
  const std::string_view rest = std::string_view(text).substr(at + kModule.size());
  return vendor_level(rest.substr(0, rest.find(':')));
}

std::optional<LogLevel> atb_level() {
  const auto name = env_text("ASDOPS_LOG_LEVEL");
  if (!name) return std::nullopt;
  constexpr std::string_view kNames[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
  const auto found = std::ranges::find(kNames, *name);
  if (found == std::end(kNames)) return std::nullopt;
  return std::min(static_cast<LogLevel>(found - std::begin(kNames)), LogLevel::error);
}

}  // namespace

LogSettings log_settings() {
  LogSettings settings;
  settings.to_stdout = env_text("ASCEND_SLOG_PRINT_TO_STDOUT") == "1" || env_text("ASDOPS_LOG_TO_STDOUT") == "1";
  settings.folder = env_text("ASCEND_PROCESS_LOG_PATH").value_or("");
  auto level = env_text("TANDEM_LOG") ? std::optional(own_level(*env_text("TANDEM_LOG"))) : module_level();
  if (!level) level = vendor_level(env_text("ASCEND_GLOBAL_LOG_LEVEL").value_or(""));
  if (!level) level = atb_level();
  settings.level = level.value_or(LogLevel::warn);
  return settings;
}

bool log_enabled(LogLevel level) { return logger().should_log(native(level)); }

void log_line(LogLevel level, std::string_view text) noexcept {
  try {
    logger().log(native(level), text);
  } catch (...) {
    return;  // a log line is never worth an error
  }
}

}  // namespace tandem
