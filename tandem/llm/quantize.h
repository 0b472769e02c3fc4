// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

struct QuantizeOptions {
  std::string model, out;                   // folders
  std::string calibration;                  // texts, see read_texts()
  std::string recipe = "seed";              // seed, w8a8, w8a8-dynamic, w8a16, w4a16, w4a16-gN
  std::string clip;                         // none, percentile:P, mse; empty: the recipe's own
  std::string smooth = "none";              // none, m1, m3, m4, m6
  size_t texts = 0;                         // that are read, 0 = all
  int64_t tokens = 256;                     // most of a text, start token included
  int threads = 0;                          // 0 = what the device gives
  uint64_t part_bytes = uint64_t{4} << 30;  // most of one file of weights
  // After each layer; `again`: it was found from an earlier run.
  std::function<void(int64_t done, int64_t layers, bool again)> on_layer;
};

// Writes the model in the vendor's quantised format: quant_model_description.json, quant_model_weights-*.safetensors
// and their index, the other files of the folder copied, tandem_quantize_report.json. One layer is in memory at a
// time. A run that was ended goes on where it was when it is started with the same options; the bytes are the same.
// Errors: io, malformed, unsupported, invalid_argument, out_of_memory.
Status quantize(const QuantizeOptions& options);

}  // namespace tandem
#pragma GCC visibility pop
