// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/texts.h"

#include <fmt/format.h>

#include <algorithm>

#include "tandem/base/json.h"

namespace tandem {
namespace {

constexpr size_t kTextLimit = size_t{256} << 20;

// The text of an entry; absent when it has none.
const std::string* text_of(const nlohmann::json& entry) {
  if (entry.is_string()) return entry.get_ptr<const std::string*>();
  if (!entry.is_object()) return nullptr;
  for (const char* name : {"text", "inputs_pretokenized"}) {
    const auto member = entry.find(name);
    if (member != entry.end() && member->is_string()) return member->get_ptr<const std::string*>();
  }
  return nullptr;
}

Status add(const nlohmann::json& entry, const std::string& what, std::vector<std::string>& texts) {
  const std::string* text = text_of(entry);
  if (text == nullptr) return fail(ErrorCode::malformed, what + ": \"text\" or \"inputs_pretokenized\" wanted");
  texts.push_back(*text);
  return {};
}

Status add_list(const std::string& source, const std::string& path, size_t most, std::vector<std::string>& texts) {
  const auto list = parse_json(source, path);
  if (!list) return fail(list.error());
  if (!list->is_array()) return fail(ErrorCode::malformed, path + ": a list of texts wanted");
  for (const auto& entry : *list) {
    if (texts.size() == most) break;
    if (auto status = add(entry, fmt::format("{}: entry {}", path, texts.size() + 1), texts); !status) return status;
  }
  return {};
}

Status add_lines(std::string_view source, const std::string& path, size_t most, std::vector<std::string>& texts) {
  for (size_t line = 1; !source.empty() && texts.size() < most; ++line) {
    const size_t end = std::min(source.find('\n'), source.size());
    const std::string_view entry = source.substr(0, end);
    source.remove_prefix(std::min(end + 1, source.size()));
    if (entry.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string what = fmt::format("{}:{}", path, line);
    const auto json = parse_json(entry, what);
    if (!json) return fail(json.error());
    if (auto status = add(*json, what, texts); !status) return status;
  }
  return {};
}

}  // namespace

Expected<std::vector<std::string>> read_texts(const std::string& path, size_t most) {
  const auto source = read_file(path, kTextLimit);
  if (!source) return fail(source.error());
  std::vector<std::string> texts;
  const size_t limit = most == 0 ? SIZE_MAX : most;
  const size_t first = source->find_first_not_of(" \t\r\n");
  const bool list = first != std::string::npos && (*source)[first] == '[';
  const auto status = list ? add_list(*source, path, limit, texts) : add_lines(*source, path, limit, texts);
  if (!status) return fail(status.error());
  if (texts.empty()) return fail(ErrorCode::malformed, path + ": no text in it, one wanted");
  return texts;
}

}  // namespace tandem
