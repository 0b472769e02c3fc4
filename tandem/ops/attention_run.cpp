// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/attention_run.h"

#include <algorithm>
#include <cstring>

#include "tandem/ops/single.h"

namespace tandem {

AttentionSizes::AttentionSizes(const FusedInferAttention& op) : op_(&op) {
  const TensorView& key = op.key.front();
  ragged = op.order == HeadOrder::tnd;
  batch = ragged ? static_cast<int64_t>(op.query_lengths.size()) : op.query.dim(0);
  tokens = op.query.dim(op.order == HeadOrder::bnsd ? 2 : ragged ? 0 : 1);
  heads = op.heads;
  kv_heads = op.kv_heads == 0 ? op.heads : op.kv_heads;
  dim = op.order == HeadOrder::bsh ? op.query.dim(-1) / heads : op.query.dim(-1);
  paged = op.block_table.present();
  head_major = op.order == HeadOrder::bnsd && key.rank == 4;
  blocks = packed() ? 1 : key.dim(0);
  positions = packed() ? key.dim(0) : key.dim(head_major ? 2 : 1);
  most = paged && op.block_table.rank == 2 ? op.block_table.dim(1) * positions : positions;
}

namespace {

int64_t value_of(const std::vector<int64_t>& lengths, int64_t b) {
  return lengths[lengths.size() == 1 ? 0 : static_cast<size_t>(b)];
}
int64_t start_of(const std::vector<int64_t>& ends, int64_t b) { return b == 0 ? 0 : ends[static_cast<size_t>(b - 1)]; }

}  // namespace

int64_t AttentionSizes::query_length(int64_t b) const {
  if (ragged) return value_of(op_->query_lengths, b) - start_of(op_->query_lengths, b);
  return op_->query_lengths.empty() ? tokens : value_of(op_->query_lengths, b);
}
int64_t AttentionSizes::first_position(int64_t b) const { return packed() ? start_of(op_->lengths, b) : 0; }
int64_t AttentionSizes::length(int64_t b) const {
  if (packed()) return value_of(op_->lengths, b) - start_of(op_->lengths, b);
  return op_->lengths.empty() ? positions : value_of(op_->lengths, b);
}
int64_t AttentionSizes::visible(int64_t b, int64_t s) const {
  const int64_t all = length(b), own = query_length(b);
  if (s >= own) return 0;
  if (op_->causal == Causal::none) return all;
  const int64_t ahead = op_->causal == Causal::left_up ? 0 : all - own;
  return std::clamp<int64_t>(s + 1 + ahead, 0, all);
}

namespace {

PerColumn from_column(PerColumn values, int64_t column) {
  if (values.data == nullptr || values.single) return values;
  values.data = static_cast<const char*>(values.data) + row_bytes(values.dtype, column);
  return values;
}

// One execution. A row of the kernel is one token with all its heads, or where heads lie outside of positions with the
// heads of one KV head; rows are in the order of query, or staged: KV head, sequence, token.
class Attend {
 public:
  Attend(std::string_view name, const FusedInferAttention& op, Work& work)
      : name_(name), op_(op), work_(work), s_(op) {}
  Status all();

 private:
  int64_t parts() const { return s_.head_major ? s_.kv_heads : 1; }  // rows of a token
  int64_t row_heads() const { return s_.heads / parts(); }
  int64_t row_elements() const { return row_heads() * s_.dim; }
  bool narrow() const { return op_.key.front().dtype == DType::i8; }

  Expected<TensorView> wide(const TensorView& tensor);
  Status stage();
  void move_heads(const TensorView& tensor, const TensorView& rows, bool back);
  Status scales();
  Status tables();
  Status rows();
  void fill_row(int64_t row, int64_t b, int64_t s, int64_t part);
  template <class Body>
  void each_row(const Body& body) const;
  void attend(const TensorView& key, const TensorView& value, int64_t part, int64_t first, int64_t count);
  void attend_tensors();
  Status quantise(const TensorView& x, int64_t rows, int64_t n, int64_t first, int64_t column);
  Status finish();
  template <class T>
  T* array(int64_t count) {
    return work_.lane.scratch->take_array<T>(std::max<int64_t>(1, count));
  }

  std::string_view name_;
  const FusedInferAttention& op_;
  Work& work_;
  const AttentionSizes s_;
  TensorView query_, y_;  // as the kernel has them
  bool staged_ = false;
  int64_t rows_ = 0;
  const int32_t** tables_ = nullptr;  // [batch * parts]
  const int32_t** row_tables_ = nullptr;
  int64_t* lengths_ = nullptr;
  const float** bias_ = nullptr;
  const uint8_t** mask_ = nullptr;
  const float* pse_ = nullptr;
  const float *scale_ = nullptr, *shift_ = nullptr;  // [2][kv_heads * dim], head-major: [kv_heads][2][dim]
};

Expected<TensorView> Attend::wide(const TensorView& tensor) {
  const TensorView copy = scratch_matrix(work_.lane, DType::f32, 1, tensor.elements());
  if (copy.data == nullptr) return no_scratch(name_, "operands in f32");
  work_.kernels.reduce.cast({tensor.elements(), tensor.data, tensor.dtype, copy.data, DType::f32}, work_.lane);
  return copy;
}

// Calls body(row, sequence, token, part) for the kernel's rows in their order.
template <class Body>
void Attend::each_row(const Body& body) const {
  int64_t row = 0;
  for (int64_t outer = 0; outer < (staged_ ? parts() : 1); ++outer) {
    for (int64_t b = 0; b < s_.batch; ++b) {
      const int64_t tokens = s_.ragged ? s_.query_length(b) : s_.tokens;
      for (int64_t s = 0; s < tokens; ++s) {
        const int64_t inner = staged_ ? 1 : parts();
        for (int64_t i = 0; i < inner; ++i) body(row++, b, s, staged_ ? outer : i);
      }
    }
  }
}

// Heads of BNSD between where they are and where the kernel wants them.
void Attend::move_heads(const TensorView& tensor, const TensorView& rows, bool back) {
  const auto bytes = static_cast<size_t>(row_bytes(tensor.dtype, s_.dim));
  each_row([&](int64_t row, int64_t b, int64_t s, int64_t part) {
    for (int64_t h = 0; h < row_heads(); ++h) {
      void* there = row_of(tensor, (b * s_.heads + part * row_heads() + h) * s_.tokens + s, s_.dim);
      void* here = row_of(rows, row * row_heads() + h, s_.dim);
      std::memcpy(back ? there : here, back ? here : there, bytes);
    }
  });
}

// query and y for the kernel: f32 where y is int8, heads moved where they lie outside of tokens.
Status Attend::stage() {
  query_ = op_.query;
  y_ = op_.y;
  const bool by_head = narrow() && op_.kv_scale.elements() != 2;
  staged_ = op_.order == HeadOrder::bnsd && (s_.tokens > 1 || (s_.head_major && by_head));
  if (staged_) {
    query_ = scratch_matrix(work_.lane, op_.query.dtype, 1, op_.query.elements());
    if (query_.data == nullptr) return no_scratch(name_, "query by tokens");
    move_heads(op_.query, query_, false);
  }
  if (op_.y.dtype == DType::i8) {
    const auto query = wide(query_);
    if (!query) return fail(query.error());
    query_ = *query;
  }
  if (!staged_ && op_.y.dtype != DType::i8) return {};
  y_ = scratch_matrix(work_.lane, query_.dtype, 1, op_.y.elements());
  if (y_.data == nullptr) return no_scratch(name_, "results");
  return {};
}

// One value for each column of keys and values, in f32.
Status Attend::scales() {
  if (!narrow()) return {};
  const int64_t all = s_.kv_heads * s_.dim;
  const auto spread = [&](const TensorView& values) -> Expected<const float*> {
    const auto given = wide(values);
    if (!given) return fail(given.error());
    auto* to = array<float>(2 * all);
    if (to == nullptr) return no_scratch(name_, "scales");
    const auto* from = given->as<const float>();
    for (int64_t i = 0; i < 2 * all; ++i) {
      const int64_t which = i / all, head = i % all / s_.dim, d = i % s_.dim;
      to[s_.head_major ? (head * 2 + which) * s_.dim + d : i] = from[values.elements() == 2 ? which : i];
    }
    return to;
  };
  const auto scale = spread(op_.kv_scale);
  if (!scale) return fail(scale.error());
  scale_ = *scale;
  if (!op_.kv_offset.present()) return {};
  const auto shift = spread(op_.kv_offset);
  if (!shift) return fail(shift.error());
  shift_ = *shift;
  return {};
}

// The blocks of each sequence; of one KV head where heads lie outside. Packed sequences have blocks of one position.
Status Attend::tables() {
  tables_ = array<const int32_t*>(s_.batch * parts());
  if (tables_ == nullptr) return no_scratch(name_, "the blocks");
  for (int64_t b = 0; b < s_.batch; ++b) {
    const int64_t length = s_.length(b), whole = (length + s_.positions - 1) / std::max<int64_t>(1, s_.positions);
    const int64_t blocks = s_.packed() ? length : s_.paged ? whole : 1;
    auto* table = array<int32_t>(blocks * parts());
    if (table == nullptr) return no_scratch(name_, "the blocks");
    for (int64_t i = 0; i < blocks; ++i) {
      int64_t block = s_.packed() ? s_.first_position(b) + i : b % s_.blocks;
      if (s_.paged) block = op_.block_table.as<const int32_t>()[b * op_.block_table.dim(1) + i];
      if (block < 0 || block >= (s_.packed() ? s_.positions : s_.blocks)) {
        return fail(ErrorCode::invalid_argument, fmt::format("{}: block_table[{},{}] is {}, a value in [0, {}) wanted",
                                                             name_, b, i, block, s_.blocks));
      }
      for (int64_t part = 0; part < parts(); ++part) {
        table[part * blocks + i] = static_cast<int32_t>(block * parts() + part);
      }
    }
    for (int64_t part = 0; part < parts(); ++part) tables_[b * parts() + part] = table + part * blocks;
  }
  return {};
}

// The blocks, length, bias and mask of one row of the kernel.
void Attend::fill_row(int64_t row, int64_t b, int64_t s, int64_t part) {
  row_tables_[row] = tables_[b * parts() + part];
  lengths_[row] = s_.visible(b, s);
  if (mask_ != nullptr) {
    const int64_t columns = op_.mask.dim(-1), own = op_.mask.elements() == columns * s_.tokens ? 0 : b;
    mask_[row] = op_.mask.as<const uint8_t>() + (own * s_.tokens + s) * columns;
  }
  for (int64_t h = 0; h < row_heads() && bias_ != nullptr; ++h) {
    const int64_t own = op_.pse.dim(0) == 1 ? 0 : b, head = part * row_heads() + h;
    bias_[row * row_heads() + h] = pse_ + ((own * s_.heads + head) * s_.tokens + s) * op_.pse.dim(3);
  }
}

Status Attend::rows() {
  each_row([&](int64_t row, int64_t, int64_t, int64_t) { rows_ = row + 1; });
  row_tables_ = array<const int32_t*>(rows_);
  lengths_ = array<int64_t>(rows_);
  bool complete = row_tables_ != nullptr && lengths_ != nullptr;
  if (op_.pse.present()) {
    bias_ = array<const float*>(rows_ * row_heads());
    const auto pse = wide(op_.pse);
    if (!pse) return fail(pse.error());
    pse_ = pse->as<const float>();
    complete = complete && bias_ != nullptr;
  }
  if (op_.mask.present()) {
    mask_ = array<const uint8_t*>(rows_);
    complete = complete && mask_ != nullptr;
  }
  if (!complete) return no_scratch(name_, "the rows");
  each_row([&](int64_t row, int64_t b, int64_t s, int64_t part) { fill_row(row, b, s, part); });
  return {};
}

// `count` rows from `first`, of KV head `part` where each has scales of its own.
void Attend::attend(const TensorView& key, const TensorView& value, int64_t part, int64_t first, int64_t count) {
  PagedAttentionArgs args;
  args.rows = count;
  args.query_heads = row_heads();
  args.kv_heads = s_.kv_heads / parts();
  args.head_dim = s_.dim;
  args.query = row_of(query_, first, row_elements());
  args.y = row_of(y_, first, row_elements());
  args.query_row_bytes = args.y_row_bytes = row_bytes(query_.dtype, row_elements());
  args.dtype = query_.dtype;
  args.key_cache = key.data;
  args.value_cache = value.data;
  args.cache_dtype = key.dtype;
  args.block_size = s_.packed() ? 1 : s_.positions;
  args.block_tables = row_tables_ + first;
  args.lengths = lengths_ + first;
  args.scale = static_cast<float>(op_.scale);
  if (scale_ != nullptr) args.cache_scale = scale_ + part * 2 * s_.dim;
  if (shift_ != nullptr) args.cache_shift = shift_ + part * 2 * s_.dim;
  if (bias_ != nullptr) args.bias = bias_ + first * row_heads();
  if (mask_ != nullptr) args.mask = mask_ + first;
  work_.kernels.attention.paged(args, work_.lane);
}

void Attend::attend_tensors() {
  const auto tensors = static_cast<int64_t>(op_.key.size());
  const int64_t outer = staged_ ? parts() : 1, each = rows_ / outer / tensors;
  for (int64_t part = 0; part < outer; ++part) {
    for (int64_t i = 0; i < tensors; ++i) {
      const auto at = static_cast<size_t>(i);
      attend(op_.key[at], op_.value[at], part, (part * tensors + i) * each, each);
    }
  }
}

// int8 results of rows of n elements from row `first`, whose first element has column `column` of the scales.
Status Attend::quantise(const TensorView& x, int64_t rows, int64_t n, int64_t first, int64_t column) {
  const auto scale = per_column(op_.y_scale, name_, work_), offset = per_column(op_.y_offset, name_, work_);
  if (!scale || !offset) return fail(scale ? offset.error() : scale.error());
  QuantizeArgs args;
  args.rows = rows;
  args.n = n;
  args.x = row_of(x, first, n);
  args.x_dtype = DType::f32;
  args.x_row_bytes = n * 4;
  args.scale = from_column(*scale, column);
  args.offset = from_column(*offset, column);
  args.y = row_of(op_.y, first, n);
  args.y_row_bytes = n;
  work_.kernels.quant.quantize(args, work_.lane);
  return {};
}

Status Attend::finish() {
  if (y_.data == op_.y.data) return {};
  if (op_.y.dtype != DType::i8) {
    move_heads(op_.y, y_, true);
    return {};
  }
  const int64_t n = s_.heads * s_.dim;
  if (!staged_) return quantise(y_, op_.y.elements() / std::max<int64_t>(1, n), n, 0, 0);
  const TensorView ordered = scratch_matrix(work_.lane, y_.dtype, 1, op_.y.elements());
  if (ordered.data == nullptr) return no_scratch(name_, "results");
  move_heads(ordered, y_, true);
  for (int64_t i = 0; i < s_.batch * s_.heads; ++i) {
    const Scratch::Mark mark(*work_.lane.scratch);
    const auto status = quantise(ordered, s_.tokens, s_.dim, i * s_.tokens, i % s_.heads * s_.dim);
    if (!status) return status;
  }
  return {};
}

Status Attend::all() {
  if (auto status = stage(); !status) return status;
  if (auto status = scales(); !status) return status;
  if (auto status = tables(); !status) return status;
  if (auto status = rows(); !status) return status;
  if (rows_ > 0) attend_tensors();
  return finish();
}

}  // namespace

Status attend(std::string_view name, const FusedInferAttention& op, Work& work) { return Attend(name, op, work).all(); }

}  // namespace tandem
