// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/pack_weights.h"

#include "tandem/base/check.h"
#include "tandem/kernels/pack.h"
#include "tandem/ops/product.h"

namespace tandem {

namespace {

// Extents whose packed bytes, and bits, can be counted.
bool has_size(const TensorView& weight) {
  constexpr int64_t kMost = INT64_MAX / 128;
  const int64_t k = weight.dim(0), n = weight.dim(1);
  return k >= 0 && n >= 0 && n <= kMost - 64 && (k == 0 || n + 64 <= kMost / k);
}

}  // namespace

size_t packed_weight_bytes(const TensorView& weight) {
  return weight.rank == 2 && has_size(weight) ? packed_bytes(weight.dtype, weight.dim(0), weight.dim(1)) : 0;
}

Expected<TensorView> pack_weights(const TensorView& weight, std::span<std::byte> memory) {
  Check check("pack_weights");
  check.present("weight", weight).rank("weight", weight, 2, 2);
  check.dtype("weight", weight, {DType::f32, DType::f16, DType::bf16, DType::i8, DType::i4});
  if (check.failed()) return fail(check.status().error());
  check.that(has_size(weight), "weight {} has extents below 0 or too large, those of a real matrix wanted",
             weight.describe());
  if (check.failed()) return fail(check.status().error());
  check.that(plain_matrix(weight), "weight {} has strides [{},{}], a row-major or transposed matrix wanted",
             weight.describe(), weight.step(0), weight.step(1));
  check_weight_pairs(check, "weight", weight);
  const size_t wanted = packed_weight_bytes(weight);
  check.that(memory.size() >= wanted, "memory has {} bytes, {} wanted", memory.size(), wanted);
  if (check.failed()) return fail(check.status().error());
  pack_weight(weight_at(weight, 0), weight.dim(0), weight.dim(1), memory.data());
  return make_tensor(memory.data(), weight.dtype, {weight.dim(0), weight.dim(1)});
}

}  // namespace tandem
