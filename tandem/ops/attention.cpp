// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/attention.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kName = "incre_flash_attention";
constexpr std::string_view kFloats = "f32 f16 bf16";

constexpr Field<IncreFlashAttention> kFields[] = {
    {{"query", Role::input, kFloats, "", "one token of each sequence"}, &IncreFlashAttention::query},
    {{"key", Role::input, "=query i8", "", "keys"}, nullptr, &IncreFlashAttention::key},
    {{"value", Role::input, "=key", "", "values"}, nullptr, &IncreFlashAttention::value},
    {{"pse", Role::option, "=query", "", "added to scores: (B or 1, N, 1, S)"}, &IncreFlashAttention::pse},
    {{"mask", Role::option, "u8 i8", "", "positions left out: (B or 1, .., S)"}, &IncreFlashAttention::mask},
    {{"block_table", Role::option, "i32", "b blocks", "blocks of each sequence"}, &IncreFlashAttention::block_table},
    {{"kv_scale", Role::option, "f32 f16 bf16", "2 | 2 rest..", "of int8 keys and values"},
     &IncreFlashAttention::kv_scale},
    {{"kv_offset", Role::option, "=kv_scale", "=kv_scale", "added to int8 keys and values"},
     &IncreFlashAttention::kv_offset},
    {{"y_scale", Role::option, kFloats, "", "of an int8 y"}, &IncreFlashAttention::y_scale},
    {{"y_offset", Role::option, "=y_scale", "=y_scale", "of an int8 y"}, &IncreFlashAttention::y_offset},
    {{"y", Role::output, "=query i8", "=query", "results"}, &IncreFlashAttention::y},
};
constexpr Number<IncreFlashAttention> kNumbers[] = {
    {"heads", "query heads", &IncreFlashAttention::heads, {1, 65536}},
    {"kv_heads", "heads of keys; 0: heads", &IncreFlashAttention::kv_heads, {0, 65536}},
    {"block_size", "positions of a block; 0: as the cache has it", &IncreFlashAttention::block_size, {0, 9e15}},
    {"scale", "factor of the scores", &IncreFlashAttention::scale, {}}};

constexpr Field<ReshapeAndCache> kCache[] = {
    {{"key", Role::input, "f32 f16 bf16 i8", "tokens heads d", "keys of new tokens"}, &ReshapeAndCache::key},
    {{"value", Role::input, "=key", "tokens heads dv", "values of new tokens"}, &ReshapeAndCache::value},
    {{"slot", Role::input, "i32", "tokens", "where each goes"}, &ReshapeAndCache::slot},
    {{"key_cache", Role::inout, "=key", "blocks size heads d", "cache of keys"}, &ReshapeAndCache::key_cache},
    {{"value_cache", Role::inout, "=key", "blocks size heads dv", "cache of values"}, &ReshapeAndCache::value_cache},
};

// What the shapes say. keys per tensor: `blocks` blocks of `positions`, heads inside or (head_major) outside of them.
struct Sizes {
  int64_t batch = 0, heads = 0, kv_heads = 0, dim = 0, blocks = 0, positions = 0;
  bool paged = false, head_major = false;

  int64_t group() const { return heads / kv_heads; }
  // Positions a sequence may have.
  int64_t most(const IncreFlashAttention& op) const { return paged ? op.block_table.dim(1) * positions : positions; }
};

Sizes sizes_of(const IncreFlashAttention& op) {
  Sizes s;
  const TensorView& key = op.key.front();
  s.batch = op.query.dim(0);
  s.heads = op.heads;
  s.kv_heads = op.kv_heads == 0 ? op.heads : op.kv_heads;
  s.dim = op.order == HeadOrder::bsh ? op.query.dim(-1) / s.heads : op.query.dim(-1);
  s.paged = op.block_table.present();
  s.head_major = op.order == HeadOrder::bnsd && key.rank == 4;
  s.blocks = key.dim(0);
  s.positions = key.dim(s.head_major ? 2 : 1);
  return s;
}

void check_query(Check& check, const IncreFlashAttention& op) {
  const bool flat = op.order == HeadOrder::bsh;
  check.rank("query", op.query, flat ? 3 : 4, flat ? 3 : 4);
  if (check.failed()) return;
  const int tokens = op.order == HeadOrder::bnsd ? 2 : 1;
  check.that(op.query.dim(tokens) == 1, "query {} has {} tokens of a sequence, 1 wanted", op.query.describe(),
             op.query.dim(tokens));
  if (flat) {
    check.that(op.query.dim(2) % op.heads == 0, "query {} does not divide into {} heads", op.query.describe(),
               op.heads);
  } else {
    check.dim("query", op.query, op.order == HeadOrder::bnsd ? 1 : 2, op.heads, "heads");
  }
  const int64_t kv_heads = op.kv_heads == 0 ? op.heads : op.kv_heads;
  check.that(op.heads % kv_heads == 0, "kv_heads is {}, a divisor of heads {} wanted", kv_heads, op.heads);
}

void check_cache(Check& check, std::string_view name, const TensorView& cache, const TensorView& first,
                 const Sizes& s) {
  check.rank(name, cache, 3, 4);
  if (check.failed()) return;
  check.that(cache.rank == first.rank, "{} is {}, as many dimensions as {} wanted", name, cache.describe(),
             first.describe());
  const bool flat = cache.rank == 3;
  check.dim(name, cache, -1, flat ? s.kv_heads * s.dim : s.dim, flat ? "kv_heads heads" : "the head of query");
  if (!flat) check.dim(name, cache, s.head_major ? 1 : 2, s.kv_heads, "kv_heads");
  check.dim(name, cache, 0, s.blocks, "the first key")
      .dim(name, cache, s.head_major ? 2 : 1, s.positions, "the first key");
}

void check_caches(Check& check, const IncreFlashAttention& op) {
  check.present("key", !op.key.empty()).present("value", !op.value.empty());
  if (check.failed()) return;
  const TensorView& first = op.key.front();
  check.rank("key", first, 3, 4);
  if (check.failed()) return;
  const Sizes s = sizes_of(op);
  for (const TensorView& key : op.key) check_cache(check, "key", key, first, s);
  for (const TensorView& value : op.value) check_cache(check, "value", value, first, s);
  const auto count = static_cast<int64_t>(op.key.size());
  check.that(op.value.size() == op.key.size(), "value has {} tensors, {} wanted (those of key)", op.value.size(),
             count);
  check.that(s.paged ? count == 1 : s.blocks * count == s.batch, "key is {} tensors of {} sequences, {} in all wanted",
             count, s.blocks, s.batch);
  if (!s.paged) return;
  check.dim("block_table", op.block_table, 0, s.batch, "the sequences of query");
  check.that(op.block_size == 0 || op.block_size == s.positions, "block_size is {}, {} wanted (the cache's)",
             op.block_size, s.positions);
  check.that(s.positions > 0, "key is {}, blocks of at least one position wanted", first.describe());
  check.that(!op.lengths.empty(), "lengths are absent, one for each sequence wanted with block_table");
}

void check_lengths(Check& check, const IncreFlashAttention& op, const Sizes& s) {
  const auto count = static_cast<int64_t>(op.lengths.size());
  check.that(count <= 1 || count >= s.batch, "lengths has {} values, 1 or {} wanted", count, s.batch);
  for (const int64_t length : op.lengths) {
    check.that(length >= 0 && length <= s.most(op), "a value of lengths is {}, at most {} wanted", length, s.most(op));
  }
  const int64_t longest = op.lengths.empty() ? s.most(op) : *std::max_element(op.lengths.begin(), op.lengths.end());
  if (op.mask.present()) {
    const int64_t columns = op.mask.rank > 0 ? op.mask.dim(-1) : 0;
    const int64_t rows = columns == 0 ? 0 : op.mask.elements() / columns;
    check.that(columns >= longest && (rows == 1 || rows == s.batch), "mask is {}, ({} or 1, .., {} or more) wanted",
               op.mask.describe(), s.batch, longest);
  }
  if (!op.pse.present()) return;
  const bool shape = op.pse.rank == 4 && (op.pse.dim(0) == 1 || op.pse.dim(0) == s.batch) && op.pse.dim(1) == s.heads &&
                     op.pse.dim(2) == 1 && op.pse.dim(3) >= longest;
  check.that(shape, "pse is {}, ({} or 1, {}, 1, {} or more) wanted", op.pse.describe(), s.batch, s.heads, longest);
}

void check_scales(Check& check, const IncreFlashAttention& op, const Sizes& s) {
  const bool narrow = op.key.front().dtype == DType::i8;
  check.that(narrow == op.kv_scale.present(), "kv_scale is {} for key {}, one for int8 only wanted",
             op.kv_scale.describe(), op.key.front().describe());
  check.that(!op.kv_offset.present() || op.kv_scale.present(), "kv_scale is absent, one wanted beside kv_offset");
  const int64_t count = op.kv_scale.elements();
  check.that(!narrow || count == 2 || count == 2 * s.kv_heads * s.dim, "kv_scale is {}, [2] or [2,{}] wanted",
             op.kv_scale.describe(), s.kv_heads * s.dim);
  const bool small = op.y.dtype == DType::i8;
  check.that(small == op.y_scale.present(), "y_scale is {} for y {}, one for int8 only wanted", op.y_scale.describe(),
             op.y.describe());
  check.that(!small || op.y_scale.elements() == 1 || op.y_scale.elements() == s.heads * s.dim,
             "y_scale is {}, [1] or [{}] wanted", op.y_scale.describe(), s.heads * s.dim);
}

void check_attention(Check& check, const IncreFlashAttention& op) {
  check_query(check, op);
  if (!check.failed()) check_caches(check, op);
  if (check.failed()) return;
  const Sizes s = sizes_of(op);
  check_lengths(check, op, s);
  if (!check.failed()) check_scales(check, op, s);
}

// One execution: f32 stand-ins where a dtype wants them, and rows as the kernel wants them.
class Attend {
 public:
  Attend(const IncreFlashAttention& op, Work& work) : op_(op), work_(work), s_(sizes_of(op)) {}
  Status all();

 private:
  Expected<TensorView> wide(const TensorView& tensor);
  Expected<TensorView> cache(const TensorView& tensor, int64_t which);
  void dequantise(const TensorView& from, int64_t which, float* to);
  Status rows();
  Status fill_row(int64_t row);
  Status attend(const TensorView& key, const TensorView& value, int64_t first_row, int64_t count);
  Status finish();
  template <class T>
  T* array(int64_t count) {
    return work_.lane.scratch->take_array<T>(count);
  }

  const IncreFlashAttention& op_;
  Work& work_;
  const Sizes s_;
  TensorView query_, y_;
  bool widened_ = false;
  int64_t rows_ = 0, kv_heads_ = 0;  // of the kernel: head-major caches have a row for each head
  const int32_t** tables_ = nullptr;
  int64_t* lengths_ = nullptr;
  const float** bias_ = nullptr;
  const uint8_t** mask_ = nullptr;
  const float* pse_ = nullptr;
};

Expected<TensorView> Attend::wide(const TensorView& tensor) {
  const TensorView copy = scratch_matrix(work_.lane, DType::f32, 1, tensor.elements());
  if (copy.data == nullptr) return no_scratch(kName, "operands in f32");
  work_.kernels.reduce.cast({tensor.elements(), tensor.data, tensor.dtype, copy.data, DType::f32}, work_.lane);
  return copy;
}

// Rows of one kv head lie `dim` apart (head-major) or `kv_heads * dim`; a scale for each column of a head.
void Attend::dequantise(const TensorView& from, int64_t which, float* to) {
  const int64_t all = s_.kv_heads * s_.dim, outer = s_.head_major ? s_.blocks : 1;
  const bool single = op_.kv_scale.elements() == 2;
  DequantizeArgs args;
  args.rows = s_.head_major ? s_.positions : s_.blocks * s_.positions;
  args.n = s_.dim;
  args.x_dtype = DType::i8;
  args.x_row_bytes = s_.head_major ? s_.dim : all;
  args.y_dtype = DType::f32;
  args.y_row_bytes = args.x_row_bytes * 4;
  for (int64_t i = 0; i < outer * s_.kv_heads; ++i) {
    const int64_t head = i % s_.kv_heads, start = s_.head_major ? i * s_.positions * s_.dim : head * s_.dim;
    const int64_t scale = single ? which : which * all + head * s_.dim;
    args.scale = {row_of(op_.kv_scale, scale, 1), op_.kv_scale.dtype, single};
    if (op_.kv_offset.present()) args.offset = {row_of(op_.kv_offset, scale, 1), op_.kv_offset.dtype, single};
    args.x = from.as<const int8_t>() + start;
    args.y = to + start;
    work_.kernels.quant.dequantize(args, work_.lane);
  }
}

Expected<TensorView> Attend::cache(const TensorView& tensor, int64_t which) {
  if (!widened_ || tensor.dtype == DType::f32) return tensor;
  if (tensor.dtype != DType::i8) return wide(tensor);
  const TensorView copy = scratch_matrix(work_.lane, DType::f32, 1, tensor.elements());
  if (copy.data == nullptr) return no_scratch(kName, "the cache in f32");
  dequantise(tensor, which, copy.as<float>());
  return copy;
}

// The blocks, length, bias and mask of one row of the kernel.
Status Attend::fill_row(int64_t row) {
  const int64_t per_sequence = s_.head_major ? s_.kv_heads : 1, b = row / per_sequence, head = row % per_sequence;
  const size_t many = op_.lengths.size();
  const int64_t length = many == 0 ? s_.positions : op_.lengths[many == 1 ? 0 : static_cast<size_t>(b)];
  lengths_[row] = length;
  const int64_t blocks = s_.paged ? (length + s_.positions - 1) / s_.positions : 1;
  auto* table = array<int32_t>(std::max<int64_t>(1, blocks));
  if (table == nullptr) return no_scratch(kName, "the blocks");
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t in_tensor = op_.key.size() > 1 ? 0 : b;
    const int64_t block = s_.paged ? op_.block_table.as<const int32_t>()[b * op_.block_table.dim(1) + i] : in_tensor;
    if (block < 0 || block >= s_.blocks) {
      return fail(ErrorCode::invalid_argument, fmt::format("{}: block_table[{},{}] is {}, a value in [0, {}) wanted",
                                                           kName, b, i, block, s_.blocks));
    }
    table[i] = static_cast<int32_t>(block * per_sequence + head);
  }
  tables_[row] = table;
  if (mask_ != nullptr) {
    const int64_t columns = op_.mask.dim(-1), own = op_.mask.elements() == columns ? 0 : b;
    mask_[row] = op_.mask.as<const uint8_t>() + own * columns;
  }
  const int64_t heads = s_.heads / per_sequence;
  for (int64_t h = 0; h < heads && bias_ != nullptr; ++h) {
    const int64_t own = op_.pse.dim(0) == 1 ? 0 : b;
    bias_[row * heads + h] = pse_ + ((own * s_.heads) + head * heads + h) * op_.pse.dim(3);
  }
  return {};
}

Status Attend::rows() {
  rows_ = s_.head_major ? s_.batch * s_.kv_heads : s_.batch;
  kv_heads_ = s_.head_major ? 1 : s_.kv_heads;
  tables_ = array<const int32_t*>(rows_);
  lengths_ = array<int64_t>(rows_);
  bool complete = tables_ != nullptr && lengths_ != nullptr;
  if (op_.pse.present()) {
    bias_ = array<const float*>(s_.batch * s_.heads);
    const auto pse = wide(op_.pse);
    if (!pse) return fail(pse.error());
    pse_ = pse->as<const float>();
    complete = complete && bias_ != nullptr;
  }
  if (op_.mask.present()) {
    mask_ = array<const uint8_t*>(rows_);
    complete = complete && mask_ != nullptr;
  }
  if (!complete) return no_scratch(kName, "the rows");
  for (int64_t row = 0; row < rows_; ++row) {
    if (auto status = fill_row(row); !status) return status;
  }
  return {};
}

Status Attend::attend(const TensorView& key, const TensorView& value, int64_t first_row, int64_t count) {
  const Scratch::Mark mark(*work_.lane.scratch);
  const auto keys = cache(key, 0), values = cache(value, 1);
  if (!keys || !values) return fail(keys ? values.error() : keys.error());
  const int64_t heads = s_.heads * s_.batch / rows_, columns = heads * s_.dim;
  PagedAttentionArgs args;
  args.rows = count;
  args.query_heads = heads;
  args.kv_heads = kv_heads_;
  args.head_dim = s_.dim;
  args.query = row_of(query_, first_row, columns);
  args.y = row_of(y_, first_row, columns);
  args.query_row_bytes = args.y_row_bytes = row_bytes(query_.dtype, columns);
  args.dtype = query_.dtype;
  args.key_cache = keys->data;
  args.value_cache = values->data;
  args.block_size = s_.positions;
  args.block_tables = tables_ + first_row;
  args.lengths = lengths_ + first_row;
  args.scale = static_cast<float>(op_.scale);
  if (bias_ != nullptr) args.bias = bias_ + first_row * heads;
  if (mask_ != nullptr) args.mask = mask_ + first_row;
  work_.kernels.attention.paged(args, work_.lane);
  return {};
}

Status Attend::finish() {
  if (y_.data == op_.y.data) return {};
  if (op_.y.dtype != DType::i8) {
    work_.kernels.reduce.cast({op_.y.elements(), y_.data, DType::f32, op_.y.data, op_.y.dtype}, work_.lane);
    return {};
  }
  QuantizeArgs args;
  args.rows = s_.batch;
  args.n = s_.heads * s_.dim;
  args.x = y_.data;
  args.x_dtype = DType::f32;
  args.x_row_bytes = args.n * 4;
  const auto scale = per_column(op_.y_scale, kName, work_), offset = per_column(op_.y_offset, kName, work_);
  if (!scale || !offset) return fail(scale ? offset.error() : scale.error());
  args.scale = *scale;
  args.offset = *offset;
  args.y = op_.y.data;
  args.y_row_bytes = args.n;
  work_.kernels.quant.quantize(args, work_.lane);
  return {};
}

Status Attend::all() {
  widened_ = op_.key.front().dtype == DType::i8 || op_.y.dtype == DType::i8;
  query_ = op_.query;
  y_ = op_.y;
  if (widened_) {
    const auto query = wide(op_.query);
    y_ = scratch_matrix(work_.lane, DType::f32, 1, op_.y.elements());
    if (!query || y_.data == nullptr) return no_scratch(kName, "operands in f32");
    query_ = *query;
  }
  if (auto status = rows(); !status) return status;
  const auto tensors = static_cast<int64_t>(op_.key.size());
  for (int64_t i = 0; i < tensors; ++i) {
    const auto at = static_cast<size_t>(i);
    if (auto status = attend(op_.key[at], op_.value[at], i * rows_ / tensors, rows_ / tensors); !status) return status;
  }
  return finish();
}

Status run_attention(const IncreFlashAttention& op, Work& work) { return Attend(op, work).all(); }

Status run_cache(const ReshapeAndCache& op, Work&) {
  const int64_t slots = op.key_cache.dim(0) * op.key_cache.dim(1), tokens = op.slot.elements();
  const auto* slot = op.slot.as<const int32_t>();
  for (int64_t i = 0; i < tokens; ++i) {
    if (slot[i] < slots) continue;
    return fail(ErrorCode::invalid_argument,
                fmt::format("reshape_and_cache: slot[{}] is {}, a value below {} wanted", i, slot[i], slots));
  }
  for (const auto& [from, to] : {std::pair{&op.key, &op.key_cache}, {&op.value, &op.value_cache}}) {
    const int64_t n = from->dim(1) * from->dim(2);
    for (int64_t i = 0; i < tokens; ++i) {
      if (slot[i] < 0 || n == 0) continue;
      std::memcpy(row_of(*to, slot[i], n), row_of(*from, i, n), static_cast<size_t>(row_bytes(from->dtype, n)));
    }
  }
  return {};
}

}  // namespace

template <>
const OperatorTable<IncreFlashAttention>& table_of<IncreFlashAttention>() {
  static constexpr OperatorTable<IncreFlashAttention> kTable{
      kName, "y = softmax(scale * q @ k^T + pse) @ v", kFields, kNumbers, check_attention, run_attention};
  return kTable;
}

template <>
const OperatorTable<ReshapeAndCache>& table_of<ReshapeAndCache>() {
  static constexpr OperatorTable<ReshapeAndCache> kTable{
      "reshape_and_cache", "cache[slot[i]] = key[i]", kCache, {}, nullptr, run_cache};
  return kTable;
}

Expected<Plan> plan(const IncreFlashAttention& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const ReshapeAndCache& op, Device&) { return plan_single(op); }

}  // namespace tandem
