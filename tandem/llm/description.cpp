// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "tandem/base/json.h"

namespace tandem {
namespace {

constexpr size_t kDescriptionLimit = size_t{256} << 20;
constexpr int64_t kMaxGroup = 1 << 20;

struct TypeName {
  const char* text;
  LinearType type;
};
// W8A8_MIX holds what both need; per token is the finer of the two.
constexpr std::array kTypes = {TypeName{"FLOAT", LinearType::floating},
                               TypeName{"W8A8", LinearType::w8a8},
                               TypeName{"W8A8_DYNAMIC", LinearType::w8a8_dynamic},
                               TypeName{"W8A8_MIX", LinearType::w8a8_dynamic},
                               TypeName{"W8A16", LinearType::w8a16},
                               TypeName{"W4A16", LinearType::w4a16}};

std::string description_file(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == "quant_model_description.json") return entry->path().string();
    if (name.starts_with("quant_model_description_") && name.ends_with(".json"))
      found.push_back(entry->path().string());
  }
  return found.empty() ? std::string() : *std::min_element(found.begin(), found.end());
}

}  // namespace

const char* linear_type_name(LinearType type) {
  return std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& name) { return name.type == type; })->text;
}

Expected<Description> Description::parse(const nlohmann::json& json, const std::string& what) {
  Description description;
  if (!json.is_object()) return fail(ErrorCode::malformed, what + ": an object of types wanted");
  JsonFields fields(json, what);
  description.group_size_ = fields.integer("group_size", 0, kMaxGroup, 0);
  for (const auto& [name, type] : json.items()) {
    if (!type.is_string()) continue;
    description.types_.emplace(name, type.get<std::string>());
  }
  if (auto status = fields.status(); !status) return fail(status.error());
  return description;
}

Expected<Description> Description::load(const std::string& folder) {
  const std::string path = description_file(folder);
  if (path.empty()) return Description();
  const auto json = read_json(path, kDescriptionLimit);
  if (!json) return fail(json.error());
  return parse(*json, path);
}

Expected<LinearType> Description::type_of(const std::string& name) const {
  if (types_.empty()) return LinearType::floating;
  const auto entry = types_.find(name + ".weight");
  if (entry == types_.end()) {
    return fail(ErrorCode::malformed, fmt::format("quant_model_description: tensor {}.weight is missing", name));
  }
  const auto same = [&](const TypeName& type) { return entry->second == type.text; };
  const auto type = std::find_if(kTypes.begin(), kTypes.end(), same);
  if (type != kTypes.end()) return type->type;
  return fail(ErrorCode::unsupported,
              fmt::format("quant_model_description: {}.weight is {}, FLOAT, W8A8, W8A8_DYNAMIC, "
                          "W8A16 or W4A16 wanted",
                          name, entry->second));
}

}  // namespace tandem
