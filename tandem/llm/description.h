// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

// How the linear layers of a folder are stored.
enum class LinearType : uint8_t { floating, w8a8, w8a8_dynamic, w8a16, w4a16 };

// quant_model_description.json: a type for every stored tensor. A folder without one is all floating.
class Description {
 public:
  static Expected<Description> load(const std::string& folder);
  static Expected<Description> parse(const nlohmann::json& json, const std::string& what);

  // Type of the layer whose weight is `name`.weight; unsupported for those this library cannot compute with.
  Expected<LinearType> type_of(const std::string& name) const;
  // Rows of k that share a scale in layers that have several; 0: none states one.
  int64_t group_size() const { return group_size_; }
  bool quantised() const { return !types_.empty(); }

 private:
  std::map<std::string, std::string, std::less<>> types_;
  int64_t group_size_ = 0;
};

const char* linear_type_name(LinearType type);

}  // namespace tandem
#pragma GCC visibility pop
