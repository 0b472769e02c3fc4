// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/recipe.h"

#include <fmt/format.h>

#include <charconv>

namespace tandem {
namespace {

constexpr int64_t kMostGroup = 65536;

void all(Recipe& recipe, LinearType type) { recipe.attention = recipe.dense = recipe.experts = type; }

// N of w4a16-gN, or 0.
int64_t group_of(std::string_view text) {
  constexpr std::string_view kPrefix = "w4a16-g";
  if (!text.starts_with(kPrefix)) return 0;
  text.remove_prefix(kPrefix.size());
  int64_t group = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), group);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && group <= kMostGroup ? group : 0;
}

Status parse_clip(std::string_view text, Recipe& recipe) {
  constexpr std::string_view kPercentile = "percentile:";
  if (text.empty()) return {};
  if (text == "none" || text == "mse") {
    recipe.clip = text == "none" ? Clip::none : Clip::mse;
    return {};
  }
  double share = 0;
  if (text.starts_with(kPercentile)) {
    const std::string_view number = text.substr(kPercentile.size());
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), share);
    if (error != std::errc{} || end != number.data() + number.size()) share = 0;
  }
  if (!(share > 0 && share <= 1)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--clip {}, none, percentile:P (0 < P <= 1) or mse wanted", text));
  }
  recipe.clip = Clip::percentile;
  recipe.quantile = share;
  return {};
}

}  // namespace

Expected<Recipe> parse_recipe(const std::string& name, const std::string& clip, const std::string& smooth) {
  Recipe recipe;
  recipe.name = name;
  if (name == "seed") {
    recipe.attention = LinearType::w8a8;
    recipe.dense = recipe.experts = LinearType::w8a8_dynamic;
    recipe.clip = Clip::seed;
  } else if (name == "w8a8") {
    recipe.attention = recipe.dense = LinearType::w8a8;
    recipe.experts = LinearType::w8a8_dynamic;
  } else if (name == "w8a8-dynamic") {
    all(recipe, LinearType::w8a8_dynamic);
  } else if (name == "w8a16") {
    all(recipe, LinearType::w8a16);
  } else if (name == "w4a16" || group_of(name) > 0) {
    all(recipe, LinearType::w4a16);
    recipe.form = {4, group_of(name)};
  } else {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--recipe {}, seed, w8a8, w8a8-dynamic, w8a16, w4a16 or w4a16-gN wanted", name));
  }
  if (auto status = parse_clip(clip, recipe); !status) return fail(status.error());
  const auto smoothing = parse_smoothing(smooth);
  if (!smoothing) return fail(smoothing.error());
  recipe.smoothing = *smoothing;
  return recipe;
}

}  // namespace tandem
