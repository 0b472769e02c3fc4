// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/json.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

namespace tandem {
namespace {

constexpr int kMaxDepth = 64;

struct Refused {
  std::string why;
};

// Watches the parser's events; nlohmann keeps the last of equal keys and nests without a limit.
class Watcher {
 public:
  bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kMaxDepth) throw Refused{fmt::format("more than {} levels", kMaxDepth)};
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(value.get_ref<const std::string&>()).second) {
      throw Refused{fmt::format("key \"{}\" twice", value.get_ref<const std::string&>())};
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Expected<nlohmann::json> parse_json(std::string_view text, std::string_view what) {
  try {
    Watcher watcher;
    return nlohmann::json::parse(text,
                                 [&](int depth, auto event, auto& value) { return watcher(depth, event, value); });
  } catch (const Refused& refused) {
    return fail(ErrorCode::malformed, fmt::format("{}: {}", what, refused.why));
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::malformed, fmt::format("{}: not JSON: {}", what, error.what()));
  }
}

Expected<std::string> read_file(const std::string& path, size_t limit) {
  // O_NONBLOCK: a FIFO must reach the check below instead of waiting for a writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.fd < 0) return fail(ErrorCode::io, fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat info {};
  if (::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(ErrorCode::io, fmt::format("{}: a regular file wanted", path));
  }
  if (static_cast<uint64_t>(info.st_size) > limit) {
    return fail(ErrorCode::malformed, fmt::format("{}: {} bytes, at most {} wanted", path, info.st_size, limit));
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(file.fd, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(ErrorCode::io, fmt::format("{}: shorter than its size while read", path));
    done += static_cast<size_t>(got);
  }
  return text;
}

Expected<nlohmann::json> read_json(const std::string& path, size_t limit) {
  auto text = read_file(path, limit);
  if (!text) return fail(text.error());
  return parse_json(*text, path);
}

JsonFields::JsonFields(const nlohmann::json& object, std::string what) : object_(object), what_(std::move(what)) {
  if (!object_.is_object()) refuse(ErrorCode::malformed, "an object wanted");
}

void JsonFields::refuse(ErrorCode code, const std::string& text) {
  if (failed_) return;
  failed_ = true;
  error_ = {code, what_ + ": " + text};
}

Status JsonFields::status() const {
  if (failed_) return fail(error_);
  return {};
}

const nlohmann::json* JsonFields::find(const char* name) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const nlohmann::json* JsonFields::required(const char* name, bool has_fallback) {
  const nlohmann::json* value = find(name);
  if (value == nullptr && !has_fallback) refuse(ErrorCode::malformed, fmt::format("{} is missing", name));
  return value;
}

int64_t JsonFields::integer(const char* name, int64_t low, int64_t high, std::optional<int64_t> fallback) {
  const nlohmann::json* value = required(name, fallback.has_value());
  if (value == nullptr) return fallback.value_or(low);
  const bool fits = value->is_number_integer() && !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
  if (fits && value->get<int64_t>() >= low && value->get<int64_t>() <= high) return value->get<int64_t>();
  refuse(ErrorCode::malformed, fmt::format("{} is {}, an integer in [{}, {}] wanted", name, value->dump(), low, high));
  return low;
}

double JsonFields::number(const char* name, double low, double high, std::optional<double> fallback) {
  const nlohmann::json* value = required(name, fallback.has_value());
  if (value == nullptr) return fallback.value_or(low);
  if (value->is_number() && value->get<double>() >= low && value->get<double>() <= high) return value->get<double>();
  refuse(ErrorCode::malformed, fmt::format("{} is {}, a number in [{}, {}] wanted", name, value->dump(), low, high));
  return low;
}

bool JsonFields::boolean(const char* name, std::optional<bool> fallback) {
  const nlohmann::json* value = required(name, fallback.has_value());
  if (value == nullptr) return fallback.value_or(false);
  if (value->is_boolean()) return value->get<bool>();
  refuse(ErrorCode::malformed, fmt::format("{} is {}, true or false wanted", name, value->dump()));
  return false;
}

std::string JsonFields::text(const char* name, std::optional<std::string> fallback) {
  const nlohmann::json* value = required(name, fallback.has_value());
  if (value == nullptr) return fallback.value_or("");
  if (value->is_string()) return value->get<std::string>();
  refuse(ErrorCode::malformed, fmt::format("{} is {}, a text wanted", name, value->dump()));
  return {};
}

std::vector<int64_t> JsonFields::integers(const char* name, int64_t low, int64_t high) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return {};
  std::vector<int64_t> result;
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  for (const nlohmann::json& item : list) {
    const nlohmann::json holder = {{name, item}};
    JsonFields field(holder, what_);
    result.push_back(field.integer(name, low, high));
    if (field.failed()) refuse(field.error_.code, field.error_.message.substr(what_.size() + 2));
  }
  return result;
}

}  // namespace tandem
