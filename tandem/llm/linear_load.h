// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tandem/llm/description.h"
#include "tandem/llm/model.h"
#include "tandem/llm/weights.h"

namespace tandem {

// A linear layer of a checkpoint, (out, in), and the part of it that is wanted.
struct LinearCut {
  std::string name;  // without .weight
  int64_t out = 0, in = 0;
  Range rows, columns;
  bool own_bias = true;        // this rank adds what the layer adds of its own
  bool float_weights = false;  // weight-only types are widened to the model's type
};

// Reads linear layers of all types into packed weights.
class LinearReader {
 public:
  LinearReader(const Checkpoint& checkpoint, const Description& description, Model& model)
      : checkpoint_(checkpoint), description_(description), model_(model) {}

  Status load(const LinearCut& cut, Linear& target);
  // Layers with the same input, side by side; floating ones become one.
  Status load_side_by_side(const std::vector<LinearCut>& cuts, std::vector<Linear>& target);
  // The float tensor of that name and shape; all have the type of the first.
  Expected<const StoredTensor*> find(const std::string& name, std::initializer_list<int64_t> shape);

 private:
  Status load_floating(const std::vector<LinearCut>& cuts, Linear& target);
  Status load_integers(const LinearCut& cut, LinearType type, Linear& target);
  Status read_cut(const StoredTensor& tensor, const LinearCut& cut, int64_t element, std::span<std::byte> to);
  Status read_w8(const LinearCut& cut, std::vector<int8_t>& values);
  Status read_w4(const LinearCut& cut, std::vector<int8_t>& values);
  Status read_scales(const LinearCut& cut, Linear& target);
  Status read_static(const LinearCut& cut, Linear& target);
  Expected<std::vector<float>> read_dequantisation(const LinearCut& cut);
  Status read_bias(const LinearCut& cut, Linear& target);
  Status widen(const LinearCut& cut, const std::vector<int8_t>& values, Linear& target);
  Status pack(const Weight& from, DType dtype, int64_t k, int64_t n, Linear& target);
  Expected<float*> keep(const std::vector<float>& values);

  const Checkpoint& checkpoint_;
  const Description& description_;
  Model& model_;
  std::vector<std::byte> buffer_, rows_;
};

}  // namespace tandem
