// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/mm_all_reduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tandem/base/check.h"
#include "tandem/comm/collective_call.h"
#include "tandem/comm/tree.h"
#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_all_reduce_body.h"
#include "tandem/ops/mm_forms.h"
#include "tandem/ops/mm_reduce_scatter.h"
#include "tandem/ops/planner.h"

namespace tandem {
namespace {

constexpr size_t kLeastWorkspace = 512;
constexpr int64_t kMostColumns = 1 << 24;
constexpr int64_t kMostInt8Depth = 65535;  // 128 * 128 times it fits an int32 sum

// Sizes of the problem as x1, x2 and y state them.
struct Sizes {
  int64_t rows = 0, k = 0, n = 0, top_k = 0;
  int64_t own = 0;  // rows of x1
};

const WeightScale* weight_scale(const MmAllReduce& op) { return std::get_if<WeightScale>(&op.quant); }
const Int8Scale* int8_scale(const MmAllReduce& op) { return std::get_if<Int8Scale>(&op.quant); }

// The weight whose shape and dtype speak for all: x2, or the first expert.
const TensorView& leading_weight(const MmAllReduce& op) {
  return op.experts && !op.experts->experts.empty() ? op.experts->experts.front() : op.x2;
}

void check_weight(Check& check, std::string_view name, const TensorView& weight, int64_t k, int64_t n, int64_t panel) {
  check.rank(name, weight, 2, 2).dim(name, weight, 0, k, "the last dimension of x1").dim(name, weight, 1, n, "that of y");
  if (check.failed()) return;
  check.that(panel == 0 || panel == kPanel, "panels of {} have {} columns, {} wanted", name, panel, kPanel);
  check.that(panel == 0 || weight.contiguous() || weight.transposed().contiguous(),
             "{} {} has gaps, a packed matrix or its transposition wanted", name, weight.describe());
  if (check.failed() || panel != 0) return;
  if (weight.dtype != DType::i4) return;  // others are copied where they are neither
  const bool row_major = weight.step(1) == 1 && weight.step(0) == weight.dim(1);
  const bool transposed = weight.step(0) == 1 && weight.step(1) == weight.dim(0);
  check.that(reads_in_place(weight), "{} {} has strides [{},{}], a row-major or transposed matrix wanted for i4", name,
             weight.describe(), weight.step(0), weight.step(1));
  // A single row or column without gaps reads both ways.
  const bool vector = (weight.dim(0) == 1 && weight.step(1) == 1) || (weight.dim(1) == 1 && weight.step(0) == 1);
  const bool even = ((row_major || vector) && weight.dim(1) % 2 == 0) || ((transposed || vector) && weight.dim(0) % 2 == 0);
  const int64_t inner = transposed && !row_major ? weight.dim(0) : weight.dim(1);
  check.that(even, "{} {} has {} elements on its contiguous axis, an even number wanted for i4", name,
             weight.describe(), inner);
}

void check_weight_scale(Check& check, const WeightScale& quant, const MmAllReduce& op, const Sizes& sizes) {
  const TensorView& scale = quant.scale;
  check.present("scale", scale).dtype("scale", scale, {DType::f32, DType::f16, DType::bf16}).rank("scale", scale, 1, 2);
  check.dtype("x2", leading_weight(op), {DType::i8, DType::i4});
  check.dtype("x1", op.x1, {DType::f32, DType::f16, DType::bf16});
  if (check.failed()) return;
  const int64_t columns = scale.dim(-1);
  const int64_t groups = scale.rank == 2 ? scale.dim(0) : 1;
  if (quant.group > 0) {
    const int64_t wanted = (sizes.k + quant.group - 1) / quant.group;
    check.that(scale.rank == 2 && groups == wanted && columns == sizes.n, "scale is {}, [{},{}] wanted for group {}",
               scale.describe(), wanted, sizes.n, quant.group);
  } else {
    check.that(quant.group == 0, "group is {}, 0 or a positive number wanted", quant.group);
    check.that(groups == 1 && (columns == 1 || columns == sizes.n), "scale is {}, [1], [{}] or [1,{}] wanted",
               scale.describe(), sizes.n, sizes.n);
  }
  check.same_shape("offset", quant.offset, "scale", scale).same_dtype("offset", quant.offset, "scale", scale.dtype);
}

void check_int8_scale(Check& check, const Int8Scale& quant, const MmAllReduce& op, const Sizes& sizes) {
  check.present("channel scale", quant.channel).dtype("x1", op.x1, {DType::i8}).dtype("x2", leading_weight(op), {DType::i8});
  check.dtype("channel scale", quant.channel, {DType::f32, DType::f16, DType::bf16, DType::i64, DType::u64});
  if (check.failed()) return;
  check.range("k", sizes.k, 0, kMostInt8Depth);
  const int64_t count = quant.channel.elements();
  check.that(count == 1 || count == sizes.n, "channel scale is {}, [1] or [{}] wanted", quant.channel.describe(), sizes.n);
  check.dtype("token scale", quant.token, {DType::f32});
  check.that(!quant.token.present() || quant.token.elements() == sizes.own, "token scale is {}, [{}] wanted",
             quant.token.describe(), sizes.own);
  check.dtype("bias", op.bias, {DType::i32, DType::f32, DType::f16, DType::bf16});
  check.that(!op.experts, "experts with int8 activations are given, float activations wanted");
}

void check_float(Check& check, const MmAllReduce& op) {
  if (op.experts && op.x1.dtype == DType::i8) return;  // their scales are in the list
  check.dtype("x1", op.x1, {DType::f32, DType::f16, DType::bf16});
  check.same_dtype("x2", leading_weight(op), "x1", op.x1.dtype);
}

void check_tail(Check& check, const AddRmsNorm& then, const MmAllReduce& op) {
  check.present("residual", then.residual).same_dtype("residual", then.residual, "y", op.y.dtype);
  check.contiguous("norm", then.norm).same_shape("residual", then.residual, "y", op.y);
  if (then.quant) check_norm_quant(check, *then.quant, op);
  if (!then.norm.present() && !then.quant) return;
  check.present("gamma", then.gamma).same_dtype("gamma", then.gamma, "y", op.y.dtype);
  check.that(then.gamma.elements() == op.y.dim(-1), "gamma is {}, [{}] wanted", then.gamma.describe(), op.y.dim(-1));
  check.same_shape("norm", then.norm, "y", op.y).same_dtype("norm", then.norm, "y", op.y.dtype);
  const auto epsilon = static_cast<float>(then.epsilon);
  check.that(epsilon > 0.0f && epsilon < 1.0f, "epsilon is {}, a value in (0, 1) wanted", then.epsilon);
}

void check_expert_scales(Check& check, const MmAllReduce& op, const Sizes& sizes) {
  const ExpertList& list = *op.experts;
  const bool integer = op.x1.dtype == DType::i8;
  check.that(list.scale.size() == (integer ? list.experts.size() : 0), "scale has {} tensors, {} wanted (int8 experts)",
             list.scale.size(), integer ? list.experts.size() : 0);
  check.that(list.token.present() == integer, "token is {}, one for int8 x1 alone wanted", list.token.describe());
  check.dtype("token", list.token, {DType::f32}).contiguous("token", list.token);
  if (check.failed() || !integer) return;
  check.range("k", sizes.k, 0, kMostInt8Depth);
  check.that(list.token.elements() == sizes.rows * sizes.top_k, "token is {}, [{},{}] wanted", list.token.describe(),
             sizes.rows, sizes.top_k);
  for (const TensorView& scale : list.scale) {
    check.dtype("scale", scale, {DType::f32, DType::f16, DType::bf16}).contiguous("scale", scale);
    check.that(scale.elements() == sizes.n, "scale is {}, [{}] wanted", scale.describe(), sizes.n);
  }
}

void check_experts(Check& check, const MmAllReduce& op, const Sizes& sizes) {
  const ExpertList& list = *op.experts;
  check.that(!list.experts.empty(), "experts is empty, at least one weight wanted").that(!op.x2.present(),
             "x2 is given together with experts, one of them wanted");
  check.rank("x1", op.x1, 3, 3).dtype("expert", list.expert, {DType::i32}).dtype("weight", list.weight, {DType::f32});
  check.present("expert", list.expert).present("weight", list.weight);
  check.contiguous("expert", list.expert).contiguous("weight", list.weight).contiguous("x1", op.x1);
  check.that(!op.bias.present() && std::holds_alternative<std::monostate>(op.quant),
             "experts with bias or quantisation of x2 are given, experts without wanted");
  check_expert_scales(check, op, sizes);
  if (check.failed()) return;
  check.dim("x1", op.x1, 0, sizes.rows, "the rows of y");
  check.that(list.expert.elements() == sizes.rows * sizes.top_k && list.weight.elements() == sizes.rows * sizes.top_k,
             "expert is {} and weight {}, [{},{}] wanted", list.expert.describe(), list.weight.describe(), sizes.rows,
             sizes.top_k);
  for (const TensorView& weight : list.experts) {
    check_weight(check, "expert weight", weight, sizes.k, sizes.n, op.x2_panel);
    const bool plain = check.failed() || (op.x2_panel != 0 ? weight.contiguous() : reads_in_place(weight));
    check.that(plain, "expert weight {} has strides [{},{}], a row-major{} matrix wanted", weight.describe(),
               weight.step(0), weight.step(1), op.x2_panel != 0 ? "" : " or transposed");
    check.same_dtype("expert weight", weight, "x1", op.x1.dtype);
  }
}

Sizes sizes_of(const MmAllReduce& op, RowSplit split) {
  Sizes sizes;
  sizes.k = op.x1.dim(-1);
  sizes.n = op.y.dim(-1);
  sizes.own = op.experts ? op.y.row_count() : op.x1.row_count();
  sizes.rows = split == RowSplit::scattered ? sizes.own : op.y.row_count();
  sizes.top_k = op.experts ? op.x1.dim(1) : 0;
  return sizes;
}

void check_addends(Check& check, const MmAllReduce& op, const Sizes& sizes) {
  check.that(!op.bias.present() || op.bias.elements() == sizes.n, "bias is {}, [{}] wanted", op.bias.describe(), sizes.n);
  if (int8_scale(op) == nullptr) check.dtype("bias", op.bias, {DType::f32, DType::f16, DType::bf16});
  check.dtype("x3", op.x3, {DType::f32, DType::f16, DType::bf16});
  check.that(!op.x3.present() || op.x3.elements() == sizes.rows * sizes.n, "x3 is {}, {} rows of {} wanted",
             op.x3.describe(), sizes.rows, sizes.n);
}

Status check_operands(const MmAllReduce& op, RowSplit split) {
  Check check(name_of(split));
  const bool whole = split == RowSplit::none;
  check.that(whole || !op.experts, "experts are given, one weight wanted");
  check.that(split != RowSplit::gathered || !op.x3.present(), "x3 is given, none wanted");
  check.present("x1", op.x1).present("y", op.y);
  if (!op.experts) check.present("x2", op.x2);
  check.rank("x1", op.x1, 2, TensorView::kMaxRank).contiguous("y", op.y);
  check.dtype("y", op.y, {DType::f32, DType::f16, DType::bf16}).rank("y", op.y, 2, TensorView::kMaxRank);
  if (check.failed()) return check.status();
  const Sizes sizes = sizes_of(op, split);
  check.range("n", sizes.n, 0, kMostColumns);
  if (op.experts) {
    check_experts(check, op, sizes);
  } else {
    check_weight(check, "x2", op.x2, sizes.k, sizes.n, op.x2_panel);
    check.that(!whole || op.x1.row_count() == sizes.rows, "x1 {} has {} rows, {} wanted (those of y)", op.x1.describe(),
               op.x1.row_count(), sizes.rows);
  }
  if (check.failed()) return check.status();
  if (const auto* quant = weight_scale(op)) check_weight_scale(check, *quant, op, sizes);
  if (const auto* quant = int8_scale(op)) check_int8_scale(check, *quant, op, sizes);
  if (std::holds_alternative<std::monostate>(op.quant)) check_float(check, op);
  check_addends(check, op, sizes);
  check_reduction(check, op, split != RowSplit::gathered);
  check_wire(check, op, whole, sizes.n);
  if (op.then) check_tail(check, *op.then, op);
  return check.status();
}

ScaleView scale_view(const TensorView& tensor, int64_t n) {
  if (!tensor.present()) return {};
  ScaleView view{tensor.data, tensor.dtype, 0, 0};
  if (tensor.dim(-1) == n && n != 1) view.stride_n = tensor.step(-1);
  if (tensor.rank == 2 && tensor.dim(0) > 1) view.stride_group = tensor.step(0);
  return view;
}

Weight weight_view(const TensorView& tensor, int64_t panel) {
  if (panel != 0) return {tensor.data, tensor.dtype, 0, 0, panel};
  // A thin matrix may carry any stride on its axis of size 1; the kernels want one unit stride.
  if (tensor.dim(1) <= 1 && tensor.step(0) != 1) return {tensor.data, tensor.dtype, tensor.step(0), 1, 0};
  // Two i4 share a byte: they lie along the axis that has them.
  if (tensor.dim(1) == 1 && tensor.dtype == DType::i4) return {tensor.data, tensor.dtype, 1, tensor.dim(0), 0};
  if (tensor.dim(0) <= 1 && tensor.step(1) != 1) return {tensor.data, tensor.dtype, 1, tensor.step(1), 0};
  return {tensor.data, tensor.dtype, tensor.step(0), tensor.step(1), 0};
}

Tail tail_of(const MmAllReduce& op) {
  if (!op.then) return Tail::none;
  const bool norm = op.then->norm.present() || op.then->quant;
  if (op.then->residual_replicated) return norm ? Tail::add_rms_norm_replicated : Tail::add_replicated;
  return norm ? Tail::add_rms_norm : Tail::add;
}

void fill_product(MmAllReduceBody& body, const MmAllReduce& op) {
  GemmArgs& product = body.product;
  product.n = body.n;
  product.k = body.k;
  product.leaves = leaves_per_rank(body.split == RowSplit::gathered ? 1 : body.comm->size());
  product.math = op.math.value_or(default_math());
  product.x = op.x1.data;
  product.x_dtype = op.x1.dtype;
  product.x_row_bytes = static_cast<int64_t>(dtype_bytes(op.x1.dtype, body.k));
  if (!op.experts) product.w = weight_view(op.x2, op.x2_panel);
  if (const auto* quant = weight_scale(op)) {
    product.scale = scale_view(quant->scale, body.n);
    product.offset = scale_view(quant->offset, body.n);
    product.group = quant->group;
  }
  if (!op.experts) return;
  for (const TensorView& weight : op.experts->experts) body.experts.push_back(weight_view(weight, op.x2_panel));
  body.expert = op.experts->expert;
  body.expert_weight = op.experts->weight;
  body.expert_token = op.experts->token;
  for (const TensorView& scale : op.experts->scale) body.expert_scale.push_back({scale.data, scale.dtype, 0, 1});
}

uint32_t local_bits(const MmAllReduce& op) {
  uint32_t bits = op.x3.present() ? kLocalX3 : 0;
  if (!op.bias.present()) return bits;
  const auto* quant = int8_scale(op);
  const bool by_row = quant != nullptr && quant->token.present() && !is_float(op.bias.dtype);
  return bits | (by_row ? kLocalBiasRows : kLocalBiasVector);
}

// One rank alone needs no window: a chunk of rows that stays in the cache.
RowChunks local_chunks(int64_t rows, int64_t n) {
  constexpr int64_t kChunkBytes = 2 << 20;
  RowChunks chunks{.rows = rows, .n = n};
  chunks.chunk_rows = std::min(rows, std::max<int64_t>(1, kChunkBytes / (n * 4)));
  chunks.one_shot = true;
  return chunks;
}

Status set_chunks(MmAllReduceBody& body, int64_t rows, int64_t n, size_t result_row_bytes) {
  auto chunks = plan_chunks({rows, n, body.comm->size(), body.comm->several_hosts(),
                             body.split != RowSplit::gathered && body.top_k == 0, result_row_bytes, body.comm->window_bytes()});
  if (!chunks) return fail(chunks.error().code, fmt::format("{}: {}", body.name(), chunks.error().message));
  body.chunks = *chunks;
  return {};
}

// Slots hold rows of x1, each with its token scale behind it, as words.
Status fill_gather_chunks(MmAllReduceBody& body) {
  int64_t most = 0;
  for (int rank = 0; rank < body.comm->size(); ++rank) most = std::max(most, body.count(rank));
  const int64_t words = (body.product.x_row_bytes + 3) / 4 + (body.token.present() ? 1 : 0);
  return set_chunks(body, most, std::max<int64_t>(words, 1), 0);
}

Status fill_chunks(MmAllReduceBody& body) {
  if (body.comm->size() == 1) {
    body.chunks = local_chunks(body.rows, body.n);
    return {};
  }
  if (body.split == RowSplit::gathered) return fill_gather_chunks(body);
  const size_t outputs = body.tail == Tail::add_rms_norm_replicated ? 2 : 1;
  const size_t bytes = body.replicated() ? outputs * dtype_bytes(body.output, body.n) : 0;
  if (body.wire) {
    const int64_t pitch = body.wire_pitch();
    return set_chunks(body, body.rows, pitch / 4, static_cast<size_t>(pitch));
  }
  const size_t shared = std::max(bytes, static_cast<size_t>(body.n) * sizeof(float));
  return set_chunks(body, body.rows, body.n, body.split == RowSplit::scattered ? 0 : shared);
}

Status split_rows(MmAllReduceBody& body, std::span<const int64_t> counts, int64_t rows) {
  if (body.split == RowSplit::none) return {};
  const int size = body.comm->size();
  Check check(body.name());
  const bool even = counts.empty();
  check.that(even || counts.size() == static_cast<size_t>(size), "counts has {} entries, one for each of {} ranks wanted",
             counts.size(), size);
  check.that(!even || rows % size == 0, "{} rows are given without counts, a multiple of {} ranks wanted", rows, size);
  if (check.failed()) return check.status();
  body.starts.push_back(0);
  for (int rank = 0; rank < size; ++rank) {
    const int64_t count = even ? rows / size : counts[static_cast<size_t>(rank)];
    const int64_t left = rows - body.starts.back();
    check.that(count >= 0 && count <= left, "counts[{}] is {}, 0 to {} wanted (rows left of {})", rank, count, left, rows);
    if (check.failed()) return check.status();
    body.starts.push_back(body.starts.back() + count);
  }
  check.that(body.starts.back() == rows, "counts add up to {}, {} wanted", body.starts.back(), rows);
  return check.status();
}

Status check_own_rows(const MmAllReduceBody& body, const MmAllReduce& op) {
  if (body.split == RowSplit::none) return {};
  const bool scattered = body.split == RowSplit::scattered;
  const TensorView& tensor = scattered ? op.y : op.x1;
  const int64_t wanted = body.count(body.comm->rank());
  Check check(body.name());
  check.that(tensor.row_count() == wanted, "{} {} has {} rows, {} wanted (those of rank {})", scattered ? "y" : "x1",
             tensor.describe(), tensor.row_count(), wanted, body.comm->rank());
  return check.status();
}

}  // namespace

Fingerprint MmAllReduceBody::fingerprint() const {
  Fingerprint print;
  std::memcpy(print.operation, name().data(), name().size());
  print.rows = rows;
  print.n = n;
  print.chunk_rows = chunks.chunk_rows;
  print.epsilon_bits = std::bit_cast<uint64_t>(epsilon);
  print.output = output;
  print.tail = static_cast<uint8_t>(tail);
  print.wire = wire ? 1 : 0;
  if (reduction != Combine::sum) print.reduction = reduction_of(reduction);
  print.mode = static_cast<uint8_t>(product.math);  // the same bits in every table, so none is named
  print.local = local;
  if (!starts.empty()) print.layout = hash_of(starts);
  if (split != RowSplit::gathered) return print;
  // Peers read rows of x1 as they lie.
  const int64_t slots[] = {k, static_cast<int64_t>(product.x_dtype), token.present() ? 1 : 0};
  print.layout = hash_of(slots, print.layout);
  return print;
}

Expected<std::shared_ptr<MmAllReduceBody>> make_body(const MmAllReduce& op, Device& device, RowSplit split,
                                                     std::span<const int64_t> counts) {
  if (auto status = check_operands(op, split); !status) return fail(status.error());
  auto comm = Communicator::find(op.group, device.index());
  if (!comm) return fail(comm.error().code, fmt::format("{}: group {}", name_of(split), comm.error().message));
  auto body = std::make_shared<MmAllReduceBody>();
  body->comm = std::move(*comm);
  body->table = &default_table();
  const Sizes sizes = sizes_of(op, split);
  body->split = split;
  if (auto status = split_rows(*body, counts, sizes.rows); !status) return fail(status.error());
  if (auto status = check_own_rows(*body, op); !status) return fail(status.error());
  body->rows = sizes.rows;
  body->n = sizes.n;
  body->k = sizes.k;
  body->top_k = sizes.top_k;
  body->output = op.y.dtype;
  body->tail = tail_of(op);
  body->reduction = *combine_of(op.reduction);
  body->wire = op.wire;
  body->own_terms = op.wire || body->reduction != Combine::sum;
  body->local = body->own_terms ? 0 : local_bits(op);
  body->x1 = op.x1;
  body->x2 = op.x2;
  body->staged = needs_staging(op);
  body->bias = op.bias;
  body->x3 = op.x3;
  body->y = op.y;
  if (op.then) {
    body->epsilon = op.then->epsilon;
    body->residual = op.then->residual;
    body->gamma = op.then->gamma;
    body->norm = op.then->norm;
    body->norm_quant = op.then->quant;
  }
  if (const auto* quant = int8_scale(op)) {
    body->channel = quant->channel;
    body->token = quant->token;
  }
  if (sizes.rows == 0 || sizes.n == 0) return body;
  fill_product(*body, op);
  if (auto status = fill_chunks(*body); !status) return fail(status.error());
  OverlapChoice choice = choose_overlap(body->chunks, body->comm->size());
  if (body->wire || body->own_terms) choice = {Overlap::off, "no_plain_sum"};
  body->overlap = choice.overlap;
  body->overlap_why = choice.why;
  body->workspace = kLeastWorkspace;
  return body;
}

Expected<Plan> plan(const MmAllReduce& op, Device& device) {
  auto body = make_body(op, device);
  if (!body) return fail(body.error());
  return Plan(std::move(*body));
}

Expected<Plan> plan(const MmReduceScatter& op, Device& device) {
  auto body = make_body(op.product, device, RowSplit::scattered, op.counts);
  if (!body) return fail(body.error());
  return Plan(std::move(*body));
}

Expected<Plan> plan(const AllGatherMm& op, Device& device) {
  auto body = make_body(op.product, device, RowSplit::gathered, op.counts);
  if (!body) return fail(body.error());
  Check check(name_of(RowSplit::gathered));
  check.same_dtype("gathered", op.gathered, "x1", op.product.x1.dtype).contiguous("gathered", op.gathered);
  const int64_t wanted = (*body)->rows * (*body)->k;
  check.that(!op.gathered.present() || op.gathered.elements() == wanted, "gathered is {}, {} rows of {} wanted",
             op.gathered.describe(), (*body)->rows, (*body)->k);
  check.that(!op.gathered.present() || (*body)->n > 0, "gathered is given with n = 0, at least one column wanted");
  if (check.failed()) return fail(check.status().error());
  (*body)->gathered = op.gathered;
  return Plan(std::move(*body));
}

}  // namespace tandem
