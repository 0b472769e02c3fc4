// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "tandem/ops/attention.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kName = "paged_cache_load";

constexpr Field<PagedCacheLoad> kFields[] = {
    {{"key_cache", Role::input, "f32 f16 bf16 i8", "blocks size heads d", "cache of keys", Layout::own},
     &PagedCacheLoad::key_cache},
    {{"value_cache", Role::input, "=key_cache", "blocks size vheads dv", "cache of values", Layout::own},
     &PagedCacheLoad::value_cache},
    {{"block_table", Role::input, "i32", "b most", "blocks of each sequence"}, &PagedCacheLoad::block_table},
    {{"context", Role::input, "i32", "b", "positions of each sequence"}, &PagedCacheLoad::context},
    {{"key", Role::output, "=key_cache", "tokens heads d", "keys, sequence behind sequence"}, &PagedCacheLoad::key},
    {{"value", Role::output, "=key_cache", "tokens vheads dv", "values, sequence behind sequence"},
     &PagedCacheLoad::value},
};
constexpr Number<PagedCacheLoad> kNumbers[] = {
    {"ends", "context adds up: each is the end of its sequence", &PagedCacheLoad::ends, {0, 1}}};

void check_load(Check& check, const PagedCacheLoad& op) {
  for (const auto* cache : {&op.key_cache, &op.value_cache}) {
    check.that(cache->dim(3) <= 1 || cache->step(3) == 1, "a cache {} has columns apart, rows of a head wanted",
               cache->describe());
    check.that(cache->dim(0) == op.key_cache.dim(0) && cache->dim(1) == op.key_cache.dim(1),
               "value_cache is {}, the blocks of key_cache {} wanted", cache->describe(), op.key_cache.describe());
  }
}

// One position of a cache, head by head.
void copy_row(const TensorView& cache, int64_t block, int64_t slot, const TensorView& rows, int64_t row) {
  const int64_t heads = cache.dim(2), d = cache.dim(3);
  const auto bytes = static_cast<size_t>(row_bytes(cache.dtype, d));
  const auto* from =
      static_cast<const char*>(cache.data) + row_bytes(cache.dtype, block * cache.step(0) + slot * cache.step(1));
  auto* to = static_cast<char*>(row_of(rows, row, heads * d));
  for (int64_t head = 0; head < heads; ++head)
    std::memcpy(to + static_cast<size_t>(head) * bytes, from + row_bytes(cache.dtype, head * cache.step(2)), bytes);
}

Status wrong(std::string_view what, int64_t at, int64_t value, int64_t most) {
  return fail(ErrorCode::invalid_argument,
              fmt::format("{}: {} {} is {}, 0 to {} wanted", kName, what, at, value, most));
}

// Sequence `b`, whose first row is `row`.
Status load(const PagedCacheLoad& op, int64_t b, int64_t length, int64_t row) {
  const int64_t size = op.key_cache.dim(1), most = op.block_table.dim(1), blocks = op.key_cache.dim(0);
  if (length < 0 || length > most * size || row + length > op.key.dim(0))
    return wrong("length", b, length, std::min(most * size, op.key.dim(0) - row));
  const auto* table = op.block_table.as<const int32_t>() + b * most;
  for (int64_t t = 0; t < length; ++t) {
    const int64_t block = table[t / size];
    if (block < 0 || block >= blocks) return wrong("block", b * most + t / size, block, blocks - 1);
    copy_row(op.key_cache, block, t % size, op.key, row + t);
    copy_row(op.value_cache, block, t % size, op.value, row + t);
  }
  return {};
}

Status run_load(const PagedCacheLoad& op, Work&) {
  const auto* context = op.context.as<const int32_t>();
  int64_t row = 0;
  for (int64_t b = 0; b < op.context.elements(); ++b) {
    const int64_t length = op.ends ? context[b] - row : context[b];
    if (auto status = load(op, b, length, row); !status) return status;
    row += length;
  }
  return {};
}

}  // namespace

template <>
const OperatorTable<PagedCacheLoad>& table_of<PagedCacheLoad>() {
  static constexpr OperatorTable<PagedCacheLoad> kTable{
      kName, "key[i] = cache of the i-th position of all sequences", kFields, kNumbers, check_load, run_load};
  return kTable;
}

Expected<Plan> plan(const PagedCacheLoad& op, Device&) { return plan_single(op); }

}  // namespace tandem
