// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/quantized_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "tandem/base/json.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr size_t kJsonLimit = size_t{256} << 20;
constexpr uint64_t kCopyBytes = 8 << 20;
constexpr const char* kWeights = "quant_model_weights";
constexpr const char* kReport = "tandem_quantize_report.json";

// A tensor of a part.
struct Source {
  std::string type;
  const Checkpoint* part = nullptr;
  StoredTensor tensor;
};
using Sources = std::map<std::string, Source>;

Error io_error(const std::string& path, const std::error_code& error) {
  return {ErrorCode::io, fmt::format("{}: {}", path, error.message())};
}

Status copy_tensor(const Source& source, SafetensorsWriter& to) {
  const int64_t rows = source.tensor.shape.empty() ? 1 : source.tensor.shape.front();
  if (source.tensor.bytes == 0) return {};
  const uint64_t row_bytes = source.tensor.bytes / static_cast<uint64_t>(rows);
  const auto step = static_cast<int64_t>(std::max<uint64_t>(kCopyBytes / row_bytes, 1));
  std::vector<std::byte> buffer;
  for (int64_t row = 0; row < rows; row += step) {
    const int64_t count = std::min(step, rows - row);
    buffer.resize(static_cast<size_t>(row_bytes * static_cast<uint64_t>(count)));
    auto status = source.part->read_rows(source.tensor, row, count, buffer);
    if (status) status = to.write(buffer);
    if (!status) return status;
  }
  return {};
}

Status write_part(const std::string& path, const std::vector<Sources::const_iterator>& tensors) {
  std::vector<TensorPlan> plans;
  for (const auto& tensor : tensors) {
    plans.push_back({tensor->first, tensor->second.tensor.dtype, tensor->second.tensor.shape});
  }
  auto writer = SafetensorsWriter::create(path, plans);
  if (!writer) return fail(writer.error());
  for (const auto& tensor : tensors) {
    if (auto status = copy_tensor(tensor->second, *writer); !status) return status;
  }
  return writer->finish();
}

// Neighbours by name until `most` bytes; one tensor at least.
std::vector<std::vector<Sources::const_iterator>> split(const Sources& sources, uint64_t most) {
  std::vector<std::vector<Sources::const_iterator>> files;
  uint64_t bytes = 0;
  for (auto tensor = sources.begin(); tensor != sources.end(); ++tensor) {
    if (files.empty() || bytes + tensor->second.tensor.bytes > most) {
      files.emplace_back();
      bytes = 0;
    }
    files.back().push_back(tensor);
    bytes += tensor->second.tensor.bytes;
  }
  return files;
}

// The highest of the types in the order of the format.
std::string highest(const Sources& sources) {
  constexpr std::array kOrder = {"FLOAT", "W4A16", "W8A16", "W8A8_DYNAMIC", "W8A8"};
  size_t most = 0;
  for (const auto& [name, source] : sources) {
    const auto place = std::find(kOrder.begin(), kOrder.end(), source.type);
    most = std::max(most, static_cast<size_t>(place - kOrder.begin()));
  }
  return kOrder[std::min(most, kOrder.size() - 1)];
}

Status write_description(const std::string& out, const Sources& sources, int64_t group) {
  ordered_json json;
  for (const auto& [name, source] : sources) json[name] = source.type;
  json["version"] = "1.0.0";
  json["model_quant_type"] = highest(sources);
  json["metadata"] = ordered_json::object();
  json["group_size"] = group;
  json["optional"] = ordered_json::object();
  return write_file(out + "/quant_model_description.json", json.dump(4));
}

bool is_copied(const std::string& name) {
  if (name == "config.json" || name == kReport || name.ends_with("index.json")) return false;
  if (name.starts_with("quant_model_description")) return false;
  constexpr std::array kEndings = {".json", ".py", ".txt", ".jinja", "tokenizer.model"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](const char* ending) { return name.ends_with(ending); });
}

Status copy_files(const std::string& model, const std::string& out) {
  std::error_code error;
  for (fs::directory_iterator entry(model, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!entry->is_regular_file(error) || !is_copied(name)) continue;
    const auto text = read_file(entry->path().string(), kJsonLimit);
    if (!text) return fail(text.error());
    if (auto status = write_file(out + "/" + name, *text); !status) return status;
    fs::permissions(out + "/" + name, fs::perms::owner_read | fs::perms::owner_write, error);
  }
  if (error) return fail(io_error(model, error));
  auto config = read_json(model + "/config.json", kJsonLimit);
  if (!config) return fail(config.error());
  const auto text = read_file(model + "/config.json", kJsonLimit);
  if (!text) return fail(text.error());
  auto json = ordered_json::parse(*text, nullptr, false);
  json.erase("quantization_config");
  if (json.contains("text_config") && json["text_config"].is_object()) json["text_config"].erase("quantization_config");
  return write_file(out + "/config.json", json.dump(2));
}

}  // namespace

std::string QuantizedFolder::hidden_path(int64_t layer) const {
  return fmt::format("{}/hidden-{:05}.safetensors", work_, layer);
}

Expected<QuantizedFolder> QuantizedFolder::open(const std::string& out, const std::string& stamp) {
  QuantizedFolder folder(out);
  std::error_code error;
  const std::string path = folder.work_ + "/stamp";
  const auto known = read_file(path, kJsonLimit);
  if (known && *known == stamp) return folder;
  fs::remove_all(folder.work_, error);
  fs::create_directories(folder.work_, error);
  if (error) return fail(io_error(folder.work_, error));
  if (auto status = write_file(path, stamp); !status) return fail(status.error());
  return folder;
}

bool QuantizedFolder::has(const std::string& name) const { return ::access(part_path(name).c_str(), F_OK) == 0; }

Status QuantizedFolder::add(const std::string& name, const QuantizedLayer& part) {
  nlohmann::json facts{{"types", nlohmann::json::object()}, {"linears", part.report}};
  std::vector<TensorPlan> plans;
  for (const OutTensor& tensor : part.tensors) {
    plans.push_back(tensor.plan);
    facts["types"][tensor.plan.name] = tensor.type;
  }
  if (auto status = write_file(work_ + "/" + name + ".json", facts.dump()); !status) return status;
  auto writer = SafetensorsWriter::create(part_path(name), plans);
  if (!writer) return fail(writer.error());
  for (const OutTensor& tensor : part.tensors) {
    if (auto status = writer->write(tensor.data); !status) return status;
  }
  return writer->finish();
}

Status QuantizedFolder::keep_hidden(int64_t layer, const Matrix& hidden) {
  auto writer = SafetensorsWriter::create(hidden_path(layer), {{"hidden", DType::f32, {hidden.rows, hidden.columns}}});
  if (!writer) return fail(writer.error());
  auto status = writer->write(std::as_bytes(std::span(hidden.data)));
  if (status) status = writer->finish();
  std::error_code ignored;
  if (status && layer > 0) fs::remove(hidden_path(layer - 1), ignored);
  return status;
}

Expected<Matrix> QuantizedFolder::hidden(int64_t layer) const {
  const auto file = Checkpoint::open_file(hidden_path(layer));
  if (!file) return fail(file.error());
  const StoredTensor* tensor = file->find("hidden");
  if (tensor == nullptr || tensor->shape.size() != 2)
    return fail(ErrorCode::malformed, hidden_path(layer) + ": no rows in it");
  auto values = file->read_floats("hidden", tensor->shape[0] * tensor->shape[1]);
  if (!values) return fail(values.error());
  Matrix matrix;
  matrix.rows = tensor->shape[0];
  matrix.columns = tensor->shape[1];
  matrix.data = std::move(*values);
  return matrix;
}

Status QuantizedFolder::finish(const std::string& model, const std::vector<std::string>& parts, uint64_t part_bytes,
                               int64_t group, nlohmann::json facts) {
  std::vector<Checkpoint> files;
  files.reserve(parts.size());
  Sources sources;
  facts["linears"] = nlohmann::json::array();
  for (const std::string& name : parts) {
    auto file = Checkpoint::open_file(part_path(name));
    if (!file) return fail(file.error());
    files.push_back(std::move(*file));
    const auto json = read_json(work_ + "/" + name + ".json", kJsonLimit);
    if (!json) return fail(json.error());
    for (const auto& [tensor, stored] : files.back().tensors()) {
      sources[tensor] = {(*json)["types"].value(tensor, "FLOAT"), &files.back(), stored};
    }
    for (const auto& row : (*json)["linears"]) facts["linears"].push_back(row);
  }
  const auto split_files = split(sources, part_bytes);
  ordered_json index{{"metadata", {{"total_size", 0}}}, {"weight_map", ordered_json::object()}};
  uint64_t total = 0;
  for (size_t i = 0; i < split_files.size(); ++i) {
    const std::string name = fmt::format("{}-{:05}-of-{:05}.safetensors", kWeights, i + 1, split_files.size());
    if (auto status = write_part(out_ + "/" + name, split_files[i]); !status) return status;
    for (const auto& tensor : split_files[i]) {
      index["weight_map"][tensor->first] = name;
      total += tensor->second.tensor.bytes;
    }
  }
  index["metadata"]["total_size"] = facts["bytes"] = total;
  auto status = write_description(out_, sources, group);
  if (status) status = copy_files(model, out_);
  if (status) status = write_file(fmt::format("{}/{}", out_, kReport), facts.dump(1));
  if (status) status = write_file(fmt::format("{}/{}.safetensors.index.json", out_, kWeights), index.dump(2));
  if (!status) return status;
  std::error_code ignored;
  fs::remove_all(work_, ignored);
  return {};
}

}  // namespace tandem
