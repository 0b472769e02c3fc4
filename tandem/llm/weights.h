// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

  // One tensor of a checkpoint; dtype none is a type of the format that this library cannot compute with.
  struct StoredTensor {
    DType dtype = DType::none;
    std::string dtype_text;
    std::vector<int64_t> shape;
    uint64_t offset = 0;  // in the file
    uint64_t bytes = 0;
    size_t file = 0;
  };
  using StoredTensors = std::map<std::string, StoredTensor, std::less<>>;

  // The *.safetensors of a folder: model.safetensors, or the shards of model.safetensors.index.json, else of the one
  // other *.safetensors.index.json, else the one other *.safetensors. Headers are checked against the files' sizes when opened; data is read with pread, so a file that shrinks is an error and no
  // signal.
  class Checkpoint {
   public:
    static Expected<Checkpoint> open(const std::string& folder);
    static Expected<Checkpoint> open_file(const std::string& path);

    const StoredTensor* find(std::string_view name) const;
    // The float tensor of that name with exactly that shape.
    Expected<const StoredTensor*> require(const std::string& name, std::initializer_list<int64_t> shape) const;
    // The tensor of that name, shape and type; `dtypes` empty: any type this library knows.
    Expected<const StoredTensor*> require(const std::string& name, std::initializer_list<int64_t> shape,
                                          std::initializer_list<DType> dtypes) const;
    // A float tensor of any shape with that many elements, widened to f32.
    Expected<std::vector<float>> read_floats(const std::string& name, int64_t elements) const;
    // Rows [first, first + count) of the first axis.
    Status read_rows(const StoredTensor& tensor, int64_t first, int64_t count, std::span<std::byte> to) const;
    const StoredTensors& tensors() const { return tensors_; }

   private:
    class File;
    Status add_file(const std::string& path, StoredTensors& into);
    Status add_shards(const std::string& folder, const std::string& index);

    std::vector<std::shared_ptr<const File>> files_;
    StoredTensors tensors_;
  };

}  // namespace tandem
#pragma GCC visibility pop
