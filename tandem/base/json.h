// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"

namespace tandem {

// Strict parsing of files that anyone may have written: UTF-8, no duplicate keys, at most 64 levels, nothing after the
// value. `what` names the file in error texts.
Expected<nlohmann::json> parse_json(std::string_view text, std::string_view what);
// A whole regular file of at most `limit` bytes.
Expected<std::string> read_file(const std::string& path, size_t limit);
Expected<nlohmann::json> read_json(const std::string& path, size_t limit);

// Reads members of one object with bounds; the first failure wins and later reads give their fallback.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string what);

  // Without a fallback the member must be present; null counts as absent.
  int64_t integer(const char* name, int64_t low, int64_t high, std::optional<int64_t> fallback = std::nullopt);
  double number(const char* name, double low, double high, std::optional<double> fallback = std::nullopt);
  bool boolean(const char* name, std::optional<bool> fallback = std::nullopt);
  std::string text(const char* name, std::optional<std::string> fallback = std::nullopt);
  // A list of integers, or one integer; absent is empty.
  std::vector<int64_t> integers(const char* name, int64_t low, int64_t high);
  // The member, or nullptr when absent or null.
  const nlohmann::json* find(const char* name) const;

  bool failed() const { return failed_; }
  void refuse(ErrorCode code, const std::string& text);
  Status status() const;

 private:
  const nlohmann::json* required(const char* name, bool has_fallback);

  const nlohmann::json& object_;
  std::string what_;
  bool failed_ = false;
  Error error_;
};

}  // namespace tandem
