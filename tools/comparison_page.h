// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "tandem/base/status.h"
#include "tools/comparison.h"

namespace tandem::tool {

struct PageFacts {
  const std::string& model;
  const std::string& against;
  const nlohmann::json& summary;
  const ModelConfig& config;
  const Figures& figures;
};

// One self-contained HTML page: figures, error by layer, clips and histograms of the model's calibration where its
// folder has them, load of the experts.
Status write_comparison_page(const std::string& path, const PageFacts& facts);

}  // namespace tandem::tool
