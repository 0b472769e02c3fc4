// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/env.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <set>

#include "tandem/base/log.h"

namespace tandem {
namespace {

constexpr std::array kTable = {
    EnvVariable{"TANDEM_TABLE", "text", "best of this CPU", "kernel table to use: reference, portable, avx2, avx512, avx512_vnni"},
    EnvVariable{"TANDEM_MATH", "choice exact|fast", "exact", "arithmetic of products with int8 and int4 weights, see docs/numerics.md"},
    EnvVariable{"TANDEM_DEVICES", "integer", "8", "number of logical devices"},
    EnvVariable{"TANDEM_THREADS", "integer", "cores / ranks", "threads of one device"},
    EnvVariable{"TANDEM_WINDOW_MB", "integer", "8", "symmetric window of one rank, MiB"},
    EnvVariable{"TANDEM_STALL_S", "number", "30", "seconds a peer inside an operator may make no progress; 0 = for ever"},
    EnvVariable{"TANDEM_SOC", "text", "Ascend910B3", "answer of aclrtGetSocName"},
    EnvVariable{"TANDEM_STRICT", "integer", "0", "1 = the vendor's exact error codes and refusals (aclnn only)"},
    EnvVariable{"TANDEM_LOG", "choice trace|debug|info|warn|error|off", "warn", "least level that is logged to stderr"},
    EnvVariable{"TANDEM_VERBOSE", "integer", "0", "1 = one line per executed operator on stderr"},
    EnvVariable{"TANDEM_MODEL", "text", "share/tandem/model", "model folder when --model is absent"},
    EnvVariable{"TANDEM_TEST_DATA", "text", "../shared/models", "optional folder with larger test models"},
    EnvVariable{"TANDEM_RENDEZVOUS", "text", "none", "address a launched rank process meets its launcher at"},
    EnvVariable{"TANDEM_FAULT", "text", "none", "for tests: fault to inject into a rank, see docs/protocol.md"},
    EnvVariable{"HCCL_BUFFSIZE", "integer", "none", "upper bound of the window, MiB"},
    EnvVariable{"HCCL_EXEC_TIMEOUT", "integer", "300", "seconds to wait for a peer that has not called the operator; 0 = for ever"},
    EnvVariable{"HCCL_CONNECT_TIMEOUT", "integer", "120", "seconds to wait for all ranks to join"},
    EnvVariable{"ASCEND_RT_VISIBLE_DEVICES", "text", "all", "comma-separated logical devices that are visible, renumbered from 0"},
};

const EnvVariable* find_variable(std::string_view name) {
  const auto found = std::find_if(kTable.begin(), kTable.end(), [&](const EnvVariable& v) { return v.name == name; });
  return found == kTable.end() ? nullptr : &*found;
}

void warn_once(std::string_view name, const std::string& value, std::string_view wanted) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> seen;
  const std::lock_guard lock(mutex);
  if (!seen.emplace(name).second) return;
  log_warn("environment: {}={} ignored, {} wanted", name, value, wanted);
}

template <class T>
std::optional<T> parse(std::string_view name, T low, T high) {
  const auto text = env_text(name);
  if (!text) return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  const bool whole = error == std::errc{} && end == text->data() + text->size();
  if (whole && value >= low && value <= high) return value;
  warn_once(name, *text, fmt::format("a number in [{}, {}]", low, high));
  return std::nullopt;
}

}  // namespace

std::span<const EnvVariable> env_table() { return kTable; }

std::optional<std::string> env_text(std::string_view name) {
  const EnvVariable* variable = find_variable(name);
  assert(variable != nullptr && "environment variable is missing from the table");
  if (variable == nullptr) return std::nullopt;
  const char* value = std::getenv(variable->name.data());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::vector<std::string> env_for_child(std::string_view name, std::string_view value) {
  assert(find_variable(name) != nullptr && "environment variable is missing from the table");
  const std::string prefix = std::string(name) + "=";
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with(prefix)) variables.emplace_back(*entry);
  }
  variables.push_back(prefix + std::string(value));
  return variables;
}

std::optional<int64_t> env_integer(std::string_view name, int64_t low, int64_t high) {
  return parse<int64_t>(name, low, high);
}

std::optional<double> env_number(std::string_view name, double low, double high) {
  return parse<double>(name, low, high);
}

}  // namespace tandem
