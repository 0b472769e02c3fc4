// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/weights.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tandem/base/json.h"
#include "tandem/llm/floats.h"
#include "tandem/llm/safetensors.h"

namespace tandem {

// A regular file that is open for reading.
class Checkpoint::File {
 public:
  static Expected<std::shared_ptr<const File>> open(const std::string& path) {
    // O_NONBLOCK: a FIFO must reach the check below instead of waiting for a writer.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fail(ErrorCode::io, fmt::format("{}: {}", path, std::strerror(errno)));
    auto file = std::make_shared<File>(path, fd);
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      return fail(ErrorCode::io, fmt::format("{}: a regular file wanted", path));
    }
    file->size = static_cast<uint64_t>(info.st_size);
    return file;
  }
  File(std::string name, int descriptor) : path(std::move(name)), fd(descriptor) {}
  ~File() { ::close(fd); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Status read(uint64_t offset, std::span<std::byte> to) const {
    while (!to.empty()) {
      const ssize_t got = ::pread(fd, to.data(), to.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(ErrorCode::io, fmt::format("{}: {}", path, std::strerror(errno)));
      if (got == 0) return fail(ErrorCode::io, fmt::format("{}: ends at byte {}, more wanted", path, offset));
      to = to.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
    return {};
  }

  std::string path;
  int fd;
  uint64_t size = 0;
};

namespace {

// A file name inside the model's folder.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find(char{0}) == std::string::npos;
}

}  // namespace

Status Checkpoint::add_file(const std::string& path, StoredTensors& into) {
  auto file = File::open(path);
  if (!file) return fail(file.error());
  std::array<std::byte, kSafetensorsPrefix> prefix{};
  const uint64_t size = (*file)->size;
  if (size < prefix.size()) {
    return fail(ErrorCode::malformed, fmt::format("{}: {} bytes, a safetensors file wanted", path, size));
  }
  if (auto status = (*file)->read(0, prefix); !status) return status;
  const auto length = safetensors_header_bytes(prefix, size);
  if (!length) return fail(length.error().code, path + ": " + length.error().message);
  std::string text(static_cast<size_t>(*length), ' ');
  if (auto status = (*file)->read(prefix.size(), std::as_writable_bytes(std::span(text))); !status) return status;
  auto tensors = parse_safetensors_header(text, size - prefix.size() - *length);
  if (!tensors) return fail(tensors.error().code, path + ": " + tensors.error().message);
  for (auto& [name, tensor] : *tensors) {
    tensor.offset += prefix.size() + *length;
    tensor.file = files_.size();
  }
  files_.push_back(*file);
  into = std::move(*tensors);
  return {};
}

Status Checkpoint::add_shards(const std::string& folder, const std::string& index) {
  const auto json = read_json(index, kSafetensorsMaxHeader);
  if (!json) return fail(json.error());
  const auto refuse = [&](const std::string& why) { return fail(ErrorCode::malformed, index + ": " + why); };
  if (!json->is_object() || !json->contains("weight_map") || !(*json)["weight_map"].is_object()) {
    return refuse("weight_map: an object wanted");
  }
  std::map<std::string, StoredTensors> shards;
  for (const auto& [name, file] : (*json)["weight_map"].items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : std::string();
    if (!is_plain_name(shard)) {
      return refuse(fmt::format("tensor {} lies in {}, a file name without folders wanted", name, file.dump()));
    }
    if (!shards.contains(shard)) {
      if (auto status = add_file(folder + "/" + shard, shards[shard]); !status) return status;
    }
    const auto tensor = shards[shard].find(name);
    if (tensor == shards[shard].end()) return refuse(fmt::format("tensor {} is missing in {}", name, shard));
    tensors_.emplace(name, tensor->second);
  }
  for (const auto& [shard, tensors] : shards) {
    for (const auto& [name, tensor] : tensors) {
      const auto known = tensors_.find(name);
      if (known == tensors_.end()) return refuse(fmt::format("tensor {} of {} is not in the index", name, shard));
      if (known->second.file != tensor.file) return refuse(fmt::format("tensor {} lies in two shards", name));
    }
  }
  return {};
}

Expected<Checkpoint> Checkpoint::open_file(const std::string& path) {
  Checkpoint checkpoint;
  if (auto status = checkpoint.add_file(path, checkpoint.tensors_); !status) return fail(status.error());
  return checkpoint;
}

namespace {

// The one file of `folder` whose name ends so; nothing where there is none or more than one.
std::string only_file(const std::string& folder, std::string_view ending) {
  std::error_code error;
  std::vector<std::string> found;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().ends_with(ending)) found.push_back(entry->path().string());
  }
  return found.size() == 1 ? found.front() : std::string();
}

}  // namespace

Expected<Checkpoint> Checkpoint::open(const std::string& folder) {
  std::string index = folder + "/model.safetensors.index.json";
  std::string single = folder + "/model.safetensors";
  const bool usual = ::access(single.c_str(), F_OK) == 0;
  if (!usual && ::access(index.c_str(), F_OK) != 0) {
    index = only_file(folder, ".safetensors.index.json");
    if (const std::string other = only_file(folder, ".safetensors"); !other.empty()) single = other;
  }
  if (usual || index.empty()) return open_file(single);
  Checkpoint checkpoint;
  if (auto status = checkpoint.add_shards(folder, index); !status) return fail(status.error());
  return checkpoint;
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

Expected<const StoredTensor*> Checkpoint::require(const std::string& name, std::initializer_list<int64_t> shape) const {
  auto tensor = require(name, shape, {});
  if (!tensor || is_plain_float((*tensor)->dtype)) return tensor;
  return fail(ErrorCode::unsupported,
              fmt::format("checkpoint: tensor {} is {}, F32, F16 or BF16 wanted", name, (*tensor)->dtype_text));
}

Expected<const StoredTensor*> Checkpoint::require(const std::string& name, std::initializer_list<int64_t> shape,
                                                  std::initializer_list<DType> dtypes) const {
  const StoredTensor* tensor = find(name);
  if (tensor == nullptr) return fail(ErrorCode::malformed, fmt::format("checkpoint: tensor {} is missing", name));
  if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end())) {
    return fail(ErrorCode::malformed, fmt::format("checkpoint: tensor {} has shape [{}], [{}] of config.json wanted",
                                                  name, fmt::join(tensor->shape, ","), fmt::join(shape, ",")));
  }
  const bool any = dtypes.size() == 0;
  if (any || std::find(dtypes.begin(), dtypes.end(), tensor->dtype) != dtypes.end()) return tensor;
  return fail(ErrorCode::unsupported, fmt::format("checkpoint: tensor {} is {}, {} wanted", name, tensor->dtype_text,
                                                  dtype_name(*dtypes.begin())));
}

Expected<std::vector<float>> Checkpoint::read_floats(const std::string& name, int64_t elements) const {
  const StoredTensor* tensor = find(name);
  if (tensor == nullptr) return fail(ErrorCode::malformed, fmt::format("checkpoint: tensor {} is missing", name));
  const size_t width = is_plain_float(tensor->dtype) ? dtype_bytes(tensor->dtype, 1) : 0;
  if (width == 0 || tensor->bytes / width != static_cast<uint64_t>(elements)) {
    return fail(ErrorCode::malformed, fmt::format("checkpoint: tensor {} is {} [{}], {} floats wanted", name,
                                                  tensor->dtype_text, fmt::join(tensor->shape, ","), elements));
  }
  std::vector<std::byte> raw(static_cast<size_t>(tensor->bytes));
  if (auto status = files_[tensor->file]->read(tensor->offset, raw); !status) return fail(status.error());
  std::vector<float> values(static_cast<size_t>(elements));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float_at(raw.data(), tensor->dtype, i);
  return values;
}

Status Checkpoint::read_rows(const StoredTensor& tensor, int64_t first, int64_t count, std::span<std::byte> to) const {
  const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape.front();
  if (first < 0 || count < 0 || first > rows || count > rows - first) {
    return fail(ErrorCode::internal, fmt::format("checkpoint: rows [{}, {}+{}) of {}", first, first, count, rows));
  }
  if (count == 0) return {};
  const uint64_t row_bytes = tensor.bytes / static_cast<uint64_t>(rows);
  const uint64_t bytes = row_bytes * static_cast<uint64_t>(count);
  if (to.size() != bytes) return fail(ErrorCode::internal, "checkpoint: target and rows differ in size");
  return files_[tensor.file]->read(tensor.offset + row_bytes * static_cast<uint64_t>(first), to);
}

}  // namespace tandem
