// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/llm/quantize_layer.h"

namespace tandem {

// A quantised folder under way: parts lie in a folder of their own until all are there.
class QuantizedFolder {
 public:
  // `stamp` says what the parts depend on; parts of another stamp are thrown away.
  static Expected<QuantizedFolder> open(const std::string& out, const std::string& stamp);

  // Whether part `name` is whole.
  bool has(const std::string& name) const;
  Status add(const std::string& name, const QuantizedLayer& part);
  // The activations that enter layer `layer`.
  Status keep_hidden(int64_t layer, const Matrix& hidden);
  Expected<Matrix> hidden(int64_t layer) const;

  // Puts the parts together and gives the folder its other files; `facts` are the report's own members.
  Status finish(const std::string& model, const std::vector<std::string>& parts, uint64_t part_bytes, int64_t group,
                nlohmann::json facts);

 private:
  explicit QuantizedFolder(std::string out) : out_(std::move(out)), work_(out_ + "/.tandem-quantize") {}
  std::string part_path(const std::string& name) const { return work_ + "/" + name + ".safetensors"; }
  std::string hidden_path(int64_t layer) const;

  std::string out_, work_;
};

}  // namespace tandem
