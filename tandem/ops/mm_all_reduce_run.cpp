// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tandem/comm/fault.h"
#include "tandem/exec/trace.h"
#include "tandem/ops/expert_product.h"
#include "tandem/ops/mm_run.h"

namespace tandem {
namespace {

// int64 and uint64 scales carry f32 bits of which the vendor's unit reads sign, exponent and ten mantissa bits.
float decode_dequant(uint64_t word) {
  constexpr uint32_t kRead = 0xffffe000u;
  return std::bit_cast<float>(static_cast<uint32_t>(word) & kRead);
}

// The bit of an f32 that is the last place of an output type: a change below it would be rounded away.
uint32_t last_place(DType output) {
  if (output == DType::f32) return 1u;
  return output == DType::f16 ? 1u << 13 : 1u << 16;
}

}  // namespace

Status MmRun::refused(std::string_view what) const {
  return fail(ErrorCode::out_of_memory, fmt::format("{}: scratch of {} was refused", body_.name(), what));
}

Status MmRun::prepare() {
  const bool gathers = body_.split == RowSplit::gathered;
  const int64_t h = gathers ? gather_block(body_) : body_.chunks.chunk_rows;
  product_ = body_.product;
  sums_ = array<float>(h * body_.n);
  inputs_ = array<const float*>(h * ranks_);
  targets_ = array<void*>(h);
  sum_rows_ = array<float*>(h);
  finished_ = array<const void*>(h);
  biases_ = array<const float*>(ranks_);
  const bool biased = announced_ != 0 || (body_.own_terms && body_.bias.present());
  bias_ = biased ? array<float>(ranks_ * body_.n) : nullptr;
  tokens_ = gathers && body_.token.present() ? array<float>(h) : nullptr;
  const bool complete = sums_ != nullptr && (tokens_ != nullptr || !gathers || !body_.token.present()) && inputs_ != nullptr && targets_ != nullptr && sum_rows_ != nullptr &&
                        finished_ != nullptr && biases_ != nullptr && (!biased || bias_ != nullptr);
  if (!complete) return fail(ErrorCode::out_of_memory, fmt::format("{}: scratch of {} rows was refused", body_.name(), h));
  if (body_.norm_quant && !body_.norm.present()) {
    norm_rows_ = array<std::byte>(h * static_cast<int64_t>(dtype_bytes(body_.output, body_.n)));
    if (norm_rows_ == nullptr) return refused("the norms");
  }
  if (auto status = prepare_wire(); !status) return status;
  return prepare_dequant();
}

Status MmRun::prepare_dequant() {
  if (!body_.channel.present()) return {};
  const int64_t count = body_.channel.elements();
  dequant_ = array<float>(count);
  if (dequant_ == nullptr) return refused("the scales");
  if (is_float(body_.channel.dtype)) {
    body_.table->reduce.cast({count, body_.channel.data, body_.channel.dtype, dequant_, DType::f32}, lane_);
  } else {
    const auto* words = body_.channel.as<const uint64_t>();
    std::transform(words, words + count, dequant_, decode_dequant);
  }
  product_.dequant = {dequant_, DType::f32, 0, count == 1 ? 0 : 1};
  return {};
}

// fl32(bias), times the column's scale where it is added to int32 sums.
void MmRun::write_bias(float* target) {
  body_.table->reduce.cast({body_.n, body_.bias.data, body_.bias.dtype, target, DType::f32}, lane_);
  if (dequant_ == nullptr || is_float(body_.bias.dtype)) return;
  for (int64_t c = 0; c < body_.n; ++c) target[c] *= dequant_[c * product_.dequant.stride_n];
}

// Every rank learns the biases of all.
Status MmRun::gather_bias() {
  const auto has_bias = [&](int rank) { return (body_.comm->announced(rank) & kLocalBiasVector) != 0; };
  if (ranks_ == 1) {
    write_bias(bias_);
    biases_[bias_count_++] = bias_;
    return {};
  }
  if (auto status = exchange_.open(); !status) return status;
  if (has_bias(rank_)) write_bias(exchange_.slot_row(rank_, 0));
  if (auto status = exchange_.publish_slot(); !status) return status;
  for (int rank = 0; rank < ranks_; ++rank) {
    if (!has_bias(rank)) continue;
    float* copy = bias_ + rank * body_.n;
    std::memcpy(copy, exchange_.slot_row(rank, 0), static_cast<size_t>(body_.n) * sizeof(float));
    biases_[bias_count_++] = copy;
  }
  exchange_.close();
  return {};
}

// This rank's partial of rows [first_row, first_row + count), f32, to targets.
Status MmRun::product(int64_t first_row, int64_t count, void* const* targets) {
  const TraceSpan span(TraceKind::compute, "product", rank_, first_row);
  if (body_.top_k > 0) {
    const ExpertProduct experts{body_.table,  product_,            body_.top_k,        body_.experts, body_.expert_scale,
                                body_.expert, body_.expert_weight, body_.expert_token};
    return expert_product(experts, first_row, count, targets, lane_);
  }
  GemmArgs args = product_;
  args.m = count;
  args.x = static_cast<const char*>(args.x) + first_row * args.x_row_bytes;
  if (body_.token.present()) args.token = body_.token.as<const float>() + first_row;
  args.y_rows = targets;
  args.y_dtype = DType::f32;
  body_.table->gemm.run(args, lane_);
  return {};
}

void MmRun::inject_flip(void* row) const {
  if (fault_injected("flip", rank_)) *static_cast<uint32_t*>(row) ^= last_place(body_.output);
}

// Partials of the chunk are exchanged; the rows in `mine` are summed into sum_rows_.
Status MmRun::partials(int64_t first_row, int64_t count, RowExchange::Range mine) {
  const bool alone = ranks_ == 1;
  if (!alone) {
    if (auto status = exchange_.open(); !status) return status;
  }
  for (int64_t row = 0; row < count; ++row) {
    targets_[row] = alone ? sums_ + row * body_.n : exchange_.slot_row(rank_, row);
  }
  if (auto status = product(first_row, count, targets_); !status) return status;
  if (body_.own_terms) {
    for (int64_t row = 0; row < count; ++row) sum_rows_[row] = static_cast<float*>(targets_[row]);
    if (auto status = add_own_terms(first_row, count); !status) return status;
  }
  inject_flip(targets_[0]);
  if (!alone) {
    if (auto status = exchange_.publish_slot(); !status) return status;
  }
  if (body_.own_terms) return combine(mine);
  sum_partials(mine, 0);
  return {};
}

// Sums the rows in `mine` of the exchange `back` before the open one.
void MmRun::sum_partials(RowExchange::Range mine, uint32_t back) {
  const int64_t owned = mine.last - mine.first;
  for (int64_t row = 0; row < owned; ++row) sum_rows_[row] = sums_ + (mine.first + row) * body_.n;
  for (int rank = 0; rank < ranks_; ++rank) {
    for (int64_t row = 0; row < owned; ++row) {
      inputs_[rank * owned + row] = ranks_ == 1 ? sum_rows_[row] : exchange_.slot_row(rank, mine.first + row, back);
    }
  }
  sum(mine);
}

// Bias and x3 of this rank behind its own partial.
Status MmRun::add_own_terms(int64_t first_row, int64_t count) {
  const float* token = body_.token.present() ? body_.token.as<const float>() + first_row : nullptr;
  if (auto status = add_own_bias(count, token); !status || !body_.x3.present()) return status;
  for (int64_t row = 0; row < count; ++row) finished_[row] = operand_row(body_.x3, first_row + row, body_.n);
  body_.table->reduce.add_rows({count, body_.n, sum_rows_, finished_, body_.x3.dtype}, lane_);
  return {};
}

// Reductions other than the sum, of whole partials. Rows of a slot lie without gaps.
Status MmRun::combine(RowExchange::Range mine) {
  if (ranks_ == 1 || mine.first == mine.last) return {};
  Scratch::Mark mark(*lane_.scratch);
  auto* inputs = array<const void*>(ranks_);
  if (inputs == nullptr) return refused("the ranks' rows");
  for (int rank = 0; rank < ranks_; ++rank) inputs[rank] = exchange_.slot_row(rank, mine.first);
  CombineInputsArgs args;
  args.count = (mine.last - mine.first) * body_.n;
  args.inputs = ranks_;
  args.x = inputs;
  args.dtype = DType::f32;
  args.how = body_.reduction;
  args.y = sums_ + mine.first * body_.n;
  const TraceSpan span(TraceKind::reduce, "partials", rank_, mine.first);
  body_.table->reduce.combine(args, lane_);
  return {};
}

void MmRun::sum(RowExchange::Range mine) {
  if (ranks_ == 1 && bias_count_ == 0) return;
  SumRowsArgs args;
  args.rows = mine.last - mine.first;
  args.n = body_.n;
  args.ranks = ranks_;
  args.inputs = inputs_;
  args.biases = bias_count_;
  args.bias = biases_;
  args.y_rows = sum_rows_;
  const TraceSpan span(TraceKind::reduce, "partials", rank_, mine.first);
  if (args.rows > 0) body_.table->reduce.sum_rows(args, lane_);
}

// This rank's rows of a further addend into its slot (or, alone, straight into bias_ row by row).
void MmRun::write_term(int64_t first_row, int64_t count, uint32_t kind) {
  for (int64_t row = 0; row < count; ++row) {
    float* target = ranks_ == 1 ? static_cast<float*>(targets_[row]) : exchange_.slot_row(rank_, row);
    if (kind == kLocalX3) {
      const void* source = operand_row(body_.x3, first_row + row, body_.n);
      body_.table->reduce.cast({body_.n, source, body_.x3.dtype, target, DType::f32}, lane_);
      continue;
    }
    write_bias(target);
    if (!body_.token.present() || is_float(body_.bias.dtype)) continue;
    const float token = body_.token.as<const float>()[first_row + row];
    for (int64_t c = 0; c < body_.n; ++c) target[c] *= token;
  }
}

// Adds the ranks' rows of one kind, in rank order, to the summed rows.
Status MmRun::add_term(int64_t first_row, int64_t count, uint32_t kind, RowExchange::Range mine) {
  const uint32_t carriers = kind == kLocalBiasRows ? kLocalBiasRows | kLocalBiasVector : kind;
  const auto carries = [&](int rank) { return (body_.comm->announced(rank) & carriers) != 0; };
  const int64_t owned = mine.last - mine.first;
  Scratch::Mark mark(*lane_.scratch);
  if (ranks_ == 1) {
    float* rows = array<float>(count * body_.n);
    if (rows == nullptr) return refused("an addend");
    for (int64_t row = 0; row < count; ++row) targets_[row] = rows + row * body_.n;
  } else if (auto status = exchange_.open(); !status) {
    return status;
  }
  if (carries(rank_)) write_term(first_row, count, kind);
  if (ranks_ > 1) {
    if (auto status = exchange_.publish_slot(); !status) return status;
  }
  for (int rank = 0; rank < ranks_; ++rank) {
    if (!carries(rank) || owned == 0) continue;
    for (int64_t row = 0; row < owned; ++row) {
      finished_[row] = ranks_ == 1 ? targets_[row] : exchange_.slot_row(rank, mine.first + row);
    }
    body_.table->reduce.add_rows({owned, body_.n, sum_rows_, finished_, DType::f32}, lane_);
  }
  return {};
}

// y and norm of `count` rows whose sums are behind finished_; rows of the outputs are `pitch` bytes apart.
void MmRun::tail(int64_t first_row, int64_t count, std::byte* y, std::byte* norm, size_t pitch) {
  if (count == 0) return;
  const TraceSpan span(TraceKind::tail, "tail", rank_, first_row);
  AddRmsNormArgs args;
  args.rows = count;
  args.n = body_.n;
  args.x_rows = finished_;
  args.x_dtype = DType::f32;
  args.residual = operand_row(body_.residual, first_row, body_.n);
  args.residual_row_bytes = static_cast<int64_t>(dtype_bytes(body_.output, body_.n));
  args.gamma = body_.needs_norm() ? body_.gamma.data : nullptr;
  args.dtype = body_.output;
  args.epsilon = static_cast<float>(body_.epsilon);
  args.y = y;
  args.y_row_bytes = static_cast<int64_t>(pitch);
  args.norm = norm;
  args.norm_row_bytes = static_cast<int64_t>(pitch);
  body_.table->norm.add_rms_norm(args, lane_);
}

void MmRun::tail_into_outputs(int64_t first_row, int64_t count) {
  const size_t pitch = dtype_bytes(body_.output, body_.n);
  std::byte* norm = norm_rows_ != nullptr ? norm_rows_ : operand_row(body_.norm, first_row, body_.n);
  tail(first_row, count, operand_row(body_.y, first_row, body_.n), norm, pitch);
  quantise_norm(first_row, count, norm, pitch);
}

// The finished norms of `count` rows, `pitch` bytes apart, as int8.
void MmRun::quantise_norm(int64_t first_row, int64_t count, const std::byte* norm, size_t pitch) {
  if (!body_.norm_quant || count == 0) return;
  const NormQuant& quant = *body_.norm_quant;
  std::byte* y = operand_row(quant.y, first_row, body_.n);
  const auto row_bytes = static_cast<int64_t>(pitch);
  if (quant.scale.present()) {
    QuantizeArgs args{count, body_.n, norm, row_bytes, body_.output};
    args.scale = {quant.scale.data, quant.scale.dtype, quant.scale.elements() == 1};
    args.offset = {quant.offset.data, quant.offset.dtype, quant.offset.elements() == 1};
    args.y = y;
    args.y_row_bytes = body_.n;
    body_.table->quant.quantize(args, lane_);
    return;
  }
  DynamicQuantArgs args{count, body_.n, norm, row_bytes, body_.output};
  args.smooth = quant.smooth.data;
  args.y = y;
  args.y_row_bytes = body_.n;
  args.scale = quant.row_scale.as<float>() + first_row;
  body_.table->quant.dynamic_quant(args, lane_);
}

// The owner publishes summed rows in f32, for every rank to add its own residual and normalise. Where all ranks hold the
// same residual it does the tail once and publishes y and norm.
void MmRun::put_results(const MmChunk& chunk) {
  const auto [index, first_row, count, mine] = chunk;
  if (!body_.replicated()) {
    const size_t bytes = static_cast<size_t>(body_.n) * sizeof(float);
    for (int64_t row = mine.first; row < mine.last; ++row) {
      std::memcpy(exchange_.result_row(rank_, index, row), sums_ + row * body_.n, bytes);
    }
    return;
  }
  for (int64_t row = mine.first; row < mine.last; ++row) finished_[row - mine.first] = sums_ + row * body_.n;
  std::byte* y = exchange_.result_row(rank_, index, mine.first);
  tail(first_row + mine.first, mine.last - mine.first, y,
       body_.needs_norm() ? y + dtype_bytes(body_.output, body_.n) : nullptr, body_.chunks.result_row_bytes);
}

// What all owners published becomes this rank's outputs.
void MmRun::take_results(const MmChunk& chunk) {
  const auto [index, first_row, count, mine] = chunk;
  if (!body_.replicated()) {
    for (int64_t row = 0; row < count; ++row) {
      finished_[row] = exchange_.result_row(exchange_.owner(row, count), index, row);
    }
    return tail_into_outputs(first_row, count);
  }
  const TraceSpan span(TraceKind::copy, "outputs", rank_, index);
  const size_t bytes = dtype_bytes(body_.output, body_.n), pitch = body_.chunks.result_row_bytes;
  for (int64_t row = 0; row < count; ++row) {
    const std::byte* source = exchange_.result_row(exchange_.owner(row, count), index, row);
    std::memcpy(operand_row(body_.y, first_row + row, body_.n), source, bytes);
    if (body_.norm.present()) std::memcpy(operand_row(body_.norm, first_row + row, body_.n), source + bytes, bytes);
    quantise_norm(first_row + row, 1, source + bytes, pitch);
  }
}

Status MmRun::share(const MmChunk& chunk) {
  put_results(chunk);
  if (auto status = exchange_.publish_results(chunk.index, chunk.mine); !status) return status;
  take_results(chunk);
  return {};
}

// The part of a chunk's rows that this rank sums.
RowExchange::Range MmRun::owned(int64_t first_row, int64_t count) const {
  if (body_.split == RowSplit::scattered) {
    const int64_t first = std::clamp(body_.start(rank_) - first_row, int64_t{0}, count);
    return {first, std::clamp(body_.start(rank_ + 1) - first_row, first, count)};
  }
  return body_.chunks.one_shot ? RowExchange::Range{0, count} : exchange_.owned(rank_, count);
}

// The sums of this rank's rows become its outputs; nobody else needs them.
Status MmRun::scatter(int64_t first_row, RowExchange::Range mine) {
  if (mine.first == mine.last) return {};
  for (int64_t row = mine.first; row < mine.last; ++row) finished_[row - mine.first] = sums_ + row * body_.n;
  tail_into_outputs(first_row + mine.first - body_.start(rank_), mine.last - mine.first);
  return {};
}

Status MmRun::chunk(int64_t index) {
  const int64_t first_row = index * body_.chunks.chunk_rows;
  const int64_t count = std::min(body_.chunks.chunk_rows, body_.rows - first_row);
  const RowExchange::Range mine = owned(first_row, count);
  if (auto status = partials(first_row, count, mine); !status) return status;
  for (const uint32_t kind : {kLocalBiasRows, kLocalX3}) {
    if ((announced_ & kind) == 0) continue;
    if (ranks_ > 1) exchange_.close();
    if (auto status = add_term(first_row, count, kind, mine); !status) return status;
  }
  Status shared;
  if (body_.split == RowSplit::scattered) {
    shared = scatter(first_row, mine);
  } else if (body_.chunks.one_shot) {
    for (int64_t row = 0; row < count; ++row) finished_[row] = sums_ + row * body_.n;
    tail_into_outputs(first_row, count);
  } else {
    shared = share({index, first_row, count, mine});
  }
  if (ranks_ > 1) exchange_.close();
  return shared;
}

Status MmRun::all() {
  auto announced = body_.comm->begin(body_.fingerprint());
  if (!announced) return fail(announced.error());
  announced_ = *announced;
  if (auto status = prepare(); !status) return status;
  if (body_.split == RowSplit::gathered) return gather_rows();
  // Ranks that mix vector and per-token biases all send rows.
  if ((announced_ & kLocalBiasRows) == 0 && (announced_ & kLocalBiasVector) != 0) {
    if (auto status = gather_bias(); !status) return status;
  }
  if (body_.own_terms && body_.bias.present()) {
    write_bias(bias_);
    biases_[bias_count_++] = bias_;
  }
  const bool hides = overlaps();
  for (int64_t index = 0; index < body_.chunks.count(); ++index) {
    const Status done = body_.wire ? wire_chunk(index) : hides ? overlapped_chunk(index) : chunk(index);
    if (!done) return done;
  }
  if (auto status = settle(true); !status) return status;
  return end();
}

Status MmRun::end() {
  exchange_.finish();
  body_.comm->end();
  return {};
}

Status MmAllReduceBody::execute(std::span<std::byte>, Lane& lane) const {
  if (rows == 0 || n == 0) return {};
  if (!staged) return MmRun(*this, lane).all();
  Scratch::Mark mark(*lane.scratch);
  MmAllReduceBody dense = *this;
  if (!dense.stage(lane)) return fail(ErrorCode::out_of_memory, fmt::format("{}: scratch for strided operands was refused", name()));
  return MmRun(dense, lane).all();
}

}  // namespace tandem
