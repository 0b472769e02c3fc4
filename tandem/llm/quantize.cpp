// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "tandem/base/json.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tandem/llm/floats.h"
#include "tandem/llm/quantized_folder.h"
#include "tandem/llm/sha256.h"
#include "tandem/llm/texts.h"
#include "tandem/llm/tokenizer_model.h"

namespace tandem {
namespace {

constexpr size_t kConfigLimit = 16u << 20;
constexpr const char* kFirstPart = "outside";

struct Calibration {
  std::vector<int32_t> tokens;
  TextStarts starts = {0};
  int64_t longest = 0;
};

std::string layer_part(int64_t layer) { return fmt::format("layer-{:05}", layer); }

// What every byte of the result depends on.
Expected<std::string> stamp_of(const QuantizeOptions& options, const Calibration& calibration) {
  const auto config = read_file(options.model + "/config.json", kConfigLimit);
  if (!config) return fail(config.error());
  Sha256 hash;
  hash.update(std::as_bytes(std::span(*config)));
  hash.update(std::as_bytes(std::span(calibration.tokens)));
  hash.update(std::as_bytes(std::span(calibration.starts)));
  std::error_code error;
  const std::string model = std::filesystem::canonical(options.model, error).string();
  return fmt::format("{}\n{} {} {}\n{}\n", model, options.recipe, options.clip, options.smooth, hash.finish());
}

Expected<Calibration> read_calibration(const QuantizeOptions& options, const ModelConfig& config) {
  const auto tokenizer = load_tokenizer(options.model);
  if (!tokenizer) return fail(tokenizer.error());
  const auto texts = read_texts(options.calibration, options.texts);
  if (!texts) return fail(texts.error());
  Calibration calibration;
  for (const std::string& text : *texts) {
    auto ids = tokenizer->encode(text);
    const auto bos = static_cast<int32_t>(config.bos);
    if (config.bos >= 0 && (ids.empty() || ids.front() != bos)) ids.insert(ids.begin(), bos);
    ids.resize(std::min(ids.size(), static_cast<size_t>(std::min(options.tokens, config.context))));
    const bool known =
        std::all_of(ids.begin(), ids.end(), [&](int32_t id) { return id >= 0 && id < config.vocabulary; });
    if (!known) return fail(ErrorCode::malformed, "tokenizer.json: an id beyond the model's vocabulary");
    calibration.tokens.insert(calibration.tokens.end(), ids.begin(), ids.end());
    calibration.starts.push_back(static_cast<int64_t>(calibration.tokens.size()));
    calibration.longest = std::max(calibration.longest, static_cast<int64_t>(ids.size()));
  }
  if (calibration.tokens.empty()) return fail(ErrorCode::malformed, options.calibration + ": no token in it");
  return calibration;
}

class Quantizer {
 public:
  Quantizer(const QuantizeOptions& options, const ModelConfig& config, const Recipe& recipe,
            const Checkpoint& checkpoint, const Calibration& calibration, QuantizedFolder& folder)
      : options_(options),
        c_(config),
        recipe_(recipe),
        checkpoint_(checkpoint),
        calibration_(calibration),
        folder_(folder),
        rope_(calibration.longest, config.head_dim, config.rope_theta) {}

  Status run(Stream& stream) {
    if (auto status = copy_outside(); !status) return status;
    const int64_t first = finished_layers();
    for (int64_t layer = 0; layer < first; ++layer) tell(layer + 1, true);
    auto hidden = first > 0 ? folder_.hidden(first) : embed();
    if (!hidden) return fail(hidden.error());
    for (int64_t layer = first; layer < c_.layers; ++layer) {
      auto status = stream.submit([&, layer](Lane& lane) { return one_layer(layer, *hidden, lane); });
      if (status) status = stream.synchronize();
      if (!status) return status;
      tell(layer + 1, false);
    }
    return finish();
  }

 private:
  void tell(int64_t done, bool again) const {
    if (options_.on_layer) options_.on_layer(done, c_.layers, again);
  }

  // Layers whose result and successor's input are there.
  int64_t finished_layers() const {
    int64_t layer = 0;
    while (layer < c_.layers && folder_.has(layer_part(layer))) ++layer;
    while (layer > 0 && !folder_.hidden(layer)) --layer;
    return layer;
  }

  Expected<Matrix> embed() const {
    const auto tensor = checkpoint_.require("model.embed_tokens.weight", {c_.vocabulary, c_.hidden});
    if (!tensor) return fail(tensor.error());
    Matrix hidden(static_cast<int64_t>(calibration_.tokens.size()), c_.hidden);
    std::vector<std::byte> row(dtype_bytes((*tensor)->dtype, c_.hidden));
    for (int64_t i = 0; i < hidden.rows; ++i) {
      const auto status = checkpoint_.read_rows(**tensor, calibration_.tokens[static_cast<size_t>(i)], 1, row);
      if (!status) return fail(status.error());
      for (int64_t j = 0; j < c_.hidden; ++j) {
        hidden.row(i)[j] = float_at(row.data(), (*tensor)->dtype, static_cast<size_t>(j));
      }
    }
    return hidden;
  }

  // What lies outside of layers stays as it is.
  Status copy_outside() {
    if (folder_.has(kFirstPart)) return {};
    QuantizedLayer part;
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      if (name.starts_with("model.layers.")) continue;
      OutTensor copy{{name, tensor.dtype, tensor.shape}, linear_type_name(LinearType::floating), {}};
      copy.data.resize(static_cast<size_t>(tensor.bytes));
      const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape.front();
      if (auto status = checkpoint_.read_rows(tensor, 0, rows, copy.data); !status) return status;
      part.tensors.push_back(std::move(copy));
    }
    return folder_.add(kFirstPart, part);
  }

  Status one_layer(int64_t layer, Matrix& hidden, Lane& lane) {
    const LayerMath math(c_, rope_, lane);
    const auto part = quantize_layer(checkpoint_, c_, recipe_, layer, math, calibration_.starts, hidden);
    if (!part) return fail(part.error());
    if (auto status = folder_.add(layer_part(layer), *part); !status) return status;
    return folder_.keep_hidden(layer + 1, hidden);
  }

  Status finish() {
    std::vector<std::string> parts = {kFirstPart};
    for (int64_t layer = 0; layer < c_.layers; ++layer) parts.push_back(layer_part(layer));
    nlohmann::json facts{{"recipe", options_.recipe},
                         {"clip", options_.clip},
                         {"smooth", options_.smooth},
                         {"texts", calibration_.starts.size() - 1},
                         {"tokens", calibration_.tokens.size()}};
    return folder_.finish(options_.model, parts, options_.part_bytes, recipe_.form.group, std::move(facts));
  }

  const QuantizeOptions& options_;
  const ModelConfig& c_;
  const Recipe& recipe_;
  const Checkpoint& checkpoint_;
  const Calibration& calibration_;
  QuantizedFolder& folder_;
  RopeTable rope_;
};

}  // namespace

Status quantize(const QuantizeOptions& options) {
  const auto recipe = parse_recipe(options.recipe, options.clip, options.smooth);
  if (!recipe) return fail(recipe.error());
  const auto config = load_config(options.model);
  if (!config) return fail(config.error());
  const auto description = Description::load(options.model);
  if (!description) return fail(description.error());
  if (description->quantised()) {
    return fail(ErrorCode::unsupported, options.model + ": quantised already, a folder of floats wanted");
  }
  std::error_code error;
  if (std::filesystem::equivalent(options.model, options.out, error)) {
    return fail(ErrorCode::invalid_argument, fmt::format("--out {}: another folder than --model wanted", options.out));
  }
  const auto checkpoint = Checkpoint::open(options.model);
  if (!checkpoint) return fail(checkpoint.error());
  const auto calibration = read_calibration(options, *config);
  if (!calibration) return fail(calibration.error());
  const auto stamp = stamp_of(options, *calibration);
  if (!stamp) return fail(stamp.error());
  auto folder = QuantizedFolder::open(options.out, *stamp);
  if (!folder) return fail(folder.error());
  auto device = Device::get(0);
  if (!device) return fail(device.error());
  (*device)->share_host_with(1, options.threads);
  auto stream = Stream::create(**device);
  if (!stream) return fail(stream.error());
  return Quantizer(options, *config, *recipe, *checkpoint, *calibration, *folder).run(**stream);
}

}  // namespace tandem
