// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/safetensors_write.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace tandem {
namespace {

constexpr size_t kAlign = 8;

struct TypeText {
  DType dtype;
  const char* text;
};
constexpr std::array kTypes = {TypeText{DType::f32, "F32"}, TypeText{DType::f16, "F16"}, TypeText{DType::bf16, "BF16"},
                               TypeText{DType::i8, "I8"},   TypeText{DType::u8, "U8"},   TypeText{DType::i32, "I32"},
                               TypeText{DType::i64, "I64"}};

const char* text_of(DType dtype) {
  for (const TypeText& type : kTypes) {
    if (type.dtype == dtype) return type.text;
  }
  return nullptr;
}

std::string part_path(const std::string& path) { return path + ".part"; }

Error error_of(const std::string& path) { return {ErrorCode::io, fmt::format("{}: {}", path, std::strerror(errno))}; }

}  // namespace

uint64_t TensorPlan::bytes() const {
  int64_t elements = 1;
  for (const int64_t extent : shape) elements *= extent;
  return dtype_bytes(dtype, elements);
}

Expected<SafetensorsWriter> SafetensorsWriter::create(const std::string& path, const std::vector<TensorPlan>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t end = 0;
  for (const TensorPlan& tensor : tensors) {
    const char* type = text_of(tensor.dtype);
    if (type == nullptr) {
      return fail(ErrorCode::invalid_argument, fmt::format("{}: tensor {} is {}, a type of safetensors wanted", path,
                                                           tensor.name, dtype_name(tensor.dtype)));
    }
    const uint64_t begin = std::exchange(end, end + tensor.bytes());
    header[tensor.name] = {{"dtype", type}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlign - 1) / kAlign * kAlign, ' ');
  const std::string part = part_path(path);
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail(error_of(part));
  SafetensorsWriter writer(path, fd, end);
  std::array<std::byte, 8> length{};
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<std::byte>(text.size() >> (8 * i) & 0xff);
  auto status = writer.put(length);
  if (status) status = writer.put(std::as_bytes(std::span(text)));
  if (!status) return fail(status.error());
  return writer;
}

SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), left_(other.left_) {}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(part_path(path_).c_str());
}

Status SafetensorsWriter::put(std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t done = ::write(fd_, data.data(), data.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail(error_of(path_));
    data = data.subspan(static_cast<size_t>(done));
  }
  return {};
}

Status SafetensorsWriter::write(std::span<const std::byte> data) {
  if (data.size() > left_) return fail(ErrorCode::internal, path_ + ": more data than its tensors hold");
  left_ -= data.size();
  return put(data);
}

Status SafetensorsWriter::finish() {
  if (left_ != 0)
    return fail(ErrorCode::internal, fmt::format("{}: {} bytes of its tensors are missing", path_, left_));
  const int fd = std::exchange(fd_, -1);
  const bool synced = ::fsync(fd) == 0;
  const int failure = errno;
  if (::close(fd) != 0 || !synced) {
    if (!synced) errno = failure;
    return fail(error_of(path_));
  }
  if (::rename(part_path(path_).c_str(), path_.c_str()) != 0) return fail(error_of(path_));
  return {};
}

Status write_file(const std::string& path, std::string_view text) {
  const std::string part = part_path(path);
  std::FILE* file = std::fopen(part.c_str(), "wb");
  if (file == nullptr) return fail(error_of(part));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (written && closed && ::rename(part.c_str(), path.c_str()) == 0) return {};
  return fail(error_of(path));
}

}  // namespace tandem
