// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/make_model.h"

#include <map>
#include <memory>

#include "tools/make_model.h"
#include "tools/job.h"
#include "tools/report.h"

namespace tandem::tool {

void add_make_model(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("make-model", "Write a folder of random weights in the shape of a public model");
  auto options = std::make_shared<MakeModelOptions>();
  const std::map<std::string, DType> types = {{"bf16", DType::bf16}, {"f16", DType::f16}, {"f32", DType::f32}};
  command->add_option("--shape", options->shape, model_shapes())->required();
  command->add_option("--out", options->out, "folder to write")->required();
  command->add_option("--dtype", options->dtype, "bf16, f16 or f32")->transform(CLI::CheckedTransformer(types));
  command->add_option("--layers", options->layers, "layers, 0 = those of the shape")
      ->check(CLI::Range(int64_t{0}, int64_t{1024}))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "of the random numbers")->capture_default_str();
  command->add_option("--tokenizer", options->tokenizer, "tokenizer.json to copy (else one of plain bytes)");
  command->callback([options, &exit_code] {
    const auto status = guarded([&] { return make_model(*options); });
    exit_code = status ? 0 : report_failure(status.error().message, false);
  });
}

}  // namespace tandem::tool
