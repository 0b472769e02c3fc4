// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "tandem/base/dtype.h"
#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

  struct MakeModelOptions {
    std::string shape;   // see model_shapes()
    std::string out;     // folder
    DType dtype = DType::bf16;
    int64_t layers = 0;  // 0: those of the shape
    uint64_t seed = 0;
    std::string tokenizer;  // tokenizer.json to copy; empty: one of bytes
  };

  // Names of the shapes that can be made.
  std::string model_shapes();
  // Writes a folder in the shape of a public model whose weights are random numbers: for measuring speed and memory.
  // The same bytes for the same options. Errors: invalid_argument, io.
  Status make_model(const MakeModelOptions& options);

}  // namespace tandem
#pragma GCC visibility pop
