// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/base/status.h"
#include "tandem/exec/memory.h"

#pragma GCC visibility push(default)
namespace tandem {

  // Paged keys and values of one rank. All layers and pieces share one block numbering:
  //   key(layer, piece): [blocks][kBlock][kv heads of the piece][head_dim]
  class KvCache {
   public:
    static constexpr int64_t kBlock = 16;  // positions in a block

    struct Shape {
      int64_t layers = 0;
      std::vector<int64_t> kv_heads;  // per piece
      int64_t head_dim = 0;
      DType dtype = DType::none;
      int64_t blocks = 0;
    };

    static Expected<KvCache> create(const Shape& shape);

    void* key(int64_t layer, size_t piece) const { return part(layer, piece, 0); }
    void* value(int64_t layer, size_t piece) const { return part(layer, piece, 1); }
    size_t bytes() const { return pages_.size(); }
    int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }

    // Extends a block table until it holds `positions`; out_of_memory leaves it as it was.
    Status reserve(std::vector<int32_t>& table, int64_t positions);
    // Gives all blocks of a table back.
    void release(std::vector<int32_t>& table);

   private:
    std::byte* part(int64_t layer, size_t piece, size_t which) const;

    Pages pages_;
    std::vector<size_t> piece_offset_;  // from a layer's start to the piece's keys; its values follow its keys
    size_t layer_bytes_ = 0;
    std::vector<int32_t> free_;
  };

}  // namespace tandem
#pragma GCC visibility pop
