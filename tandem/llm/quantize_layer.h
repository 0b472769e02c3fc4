// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/llm/calibration.h"
#include "tandem/llm/recipe.h"
#include "tandem/llm/safetensors_write.h"
#include "tandem/llm/weights.h"

namespace tandem {

// A tensor of a quantised folder with its type in the description.
struct OutTensor {
  TensorPlan plan;
  std::string type;
  std::vector<std::byte> data;
};

// What a layer became.
struct QuantizedLayer {
  std::vector<OutTensor> tensors;
  nlohmann::json report = nlohmann::json::array();  // an object for each group of linears with one input
};

// A linear layer on its way: (n, k) widened to f32.
struct FloatLinear {
  std::string name;  // without .weight
  Matrix weight;
  std::vector<float> bias;  // or empty
};

// Rounds linear layers and keeps what they are stored as.
class LinearQuantizer {
 public:
  LinearQuantizer(const Recipe& recipe, DType model_dtype, const LayerMath& math, QuantizedLayer& to)
      : recipe_(recipe), dtype_(model_dtype), math_(math), to_(to) {}

  // Layers that read the same input x.
  Status add(LinearType type, const Matrix& x, const std::vector<const FloatLinear*>& linears);
  void add_float(const std::string& name, const std::vector<int64_t>& shape, std::span<const float> values,
                 DType dtype);

 private:
  struct Candidate {
    std::string name;
    float clip = 0;
    Range8 range;
    double error = 0;
  };
  Candidate candidate(const Matrix& x, std::string name, float clip) const;
  std::vector<Candidate> candidates(const Matrix& x, float threshold) const;
  void add_static(const Matrix& x, const std::vector<const FloatLinear*>& linears);
  void add_scaled(LinearType type, const Matrix& x, const std::vector<const FloatLinear*>& linears);
  void put_static(const FloatLinear& linear, const RoundedWeight& rounded, const Range8& range);
  void put_scaled(LinearType type, const FloatLinear& linear, const RoundedWeight& rounded);
  nlohmann::json& new_row(LinearType type, const Matrix& x, const std::vector<const FloatLinear*>& linears);
  template <class T>
  void put(const std::string& name, LinearType type, DType dtype, std::vector<int64_t> shape,
           const std::vector<T>& data);

  const Recipe& recipe_;
  DType dtype_;
  const LayerMath& math_;
  QuantizedLayer& to_;
};

// The layer `index` of a checkpoint: quantises its linears and takes `hidden` through it in f32.
Expected<QuantizedLayer> quantize_layer(const Checkpoint& checkpoint, const ModelConfig& config, const Recipe& recipe,
                                        int64_t index, const LayerMath& math, const TextStarts& starts, Matrix& hidden);

}  // namespace tandem
