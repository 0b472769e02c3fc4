// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

// A tensor of a file to come.
struct TensorPlan {
  std::string name;
  DType dtype = DType::none;
  std::vector<int64_t> shape;
  uint64_t bytes() const;
};

// Writes a safetensors file as a stream beside its name and moves it there when it is whole, so that a name stands
// for a whole file or none. Errors: io, invalid_argument (a type the format lacks).
class SafetensorsWriter {
 public:
  static Expected<SafetensorsWriter> create(const std::string& path, const std::vector<TensorPlan>& tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(SafetensorsWriter&& other) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) = delete;

  // The data of the tensors in their order, in pieces of any size.
  Status write(std::span<const std::byte> data);
  // Refuses where data is missing; syncs, then renames.
  Status finish();

 private:
  SafetensorsWriter(std::string path, int fd, uint64_t left) : path_(std::move(path)), fd_(fd), left_(left) {}
  Status put(std::span<const std::byte> data);

  std::string path_;
  int fd_;
  uint64_t left_;
};

// A whole small file, written beside its name and moved there.
Status write_file(const std::string& path, std::string_view text);

}  // namespace tandem
#pragma GCC visibility pop
