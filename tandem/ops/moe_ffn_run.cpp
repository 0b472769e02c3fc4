// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <numeric>

#include "tandem/comm/collectives.h"
#include "tandem/comm/tree.h"
#include "tandem/ops/expert_product.h"
#include "tandem/ops/grouped_matmul.h"
#include "tandem/ops/moe_ffn_body.h"
#include "tandem/ops/moe_routing.h"
#include "tandem/ops/product.h"

namespace tandem {
namespace {

constexpr std::string_view kName = "moe_ffn";

// One operator of a single device; its operands are dense and fit.
template <class Op>
Status run_now(const Op& op, Work& work) {
  return table_of<Op>().run(op, work);
}

// Rows of every rank for every rank, in elements of a row.
struct Journey {
  std::vector<int64_t> to, to_at, from, from_at;

  int64_t sent() const { return to_at.back() + to.back(); }
  int64_t received() const { return from_at.back() + from.back(); }
};

std::vector<int64_t> starts_of(const std::vector<int64_t>& counts) {
  std::vector<int64_t> starts(counts.size(), 0);
  for (size_t i = 1; i < counts.size(); ++i) starts[i] = starts[i - 1] + counts[i - 1];
  return starts;
}

std::vector<int64_t> times(std::vector<int64_t> counts, int64_t factor) {
  for (int64_t& count : counts) count *= factor;
  return counts;
}

// Rows as int8 with a scale each; without quantisation scale is absent and x what it was.
struct Rows {
  TensorView x, scale;
};

// One execution on one rank.
class Run {
 public:
  Run(const MoeFfnBody& body, Lane& lane)
      : b_(body),
        op_(body.op),
        lane_(lane),
        work_{*body.table, lane},
        mark_(*lane.scratch),
        ranks_(body.comm->size()),
        rank_(body.comm->rank()) {}

  Status all() {
    if (auto status = announce(); !status) return status;
    if (auto status = choose(); !status) return status;
    if (auto status = count(); !status) return status;
    limit();
    report();
    return op_.expert_parallel ? travel() : stay();
  }

 private:
  Status announce();
  Status choose();
  Status count();
  void limit();
  void report();
  Status stay();
  Status travel();
  Journey journey() const;
  Status send_out(const Journey& way, TensorView& arrived, TensorView& ids);
  Status at_home(const TensorView& arrived, const TensorView& ids, TensorView& leaves);
  Status come_back(const Journey& way, const TensorView& leaves);
  Expected<Rows> quantise(const TensorView& x, bool between_ranks);
  Status even_scales(const TensorView& x, Rows& rows);
  Status expand(const TensorView& x, const TensorView& ids);
  Status first_linear(const TensorView& scale);
  Status activate();
  Expected<TensorView> inner(const TensorView& x, const TensorView& ids);
  int64_t kept(int rank, int64_t expert) const;
  TensorView matrix(DType dtype, int64_t rows, int64_t n) { return scratch_matrix(lane_, dtype, rows, n); }
  static Status refused(std::string_view what) { return no_scratch(kName, what); }

  const MoeFfnBody& b_;
  const MoeFfn& op_;
  Lane& lane_;
  Work work_;
  Scratch::Mark mark_;
  const int ranks_, rank_;
  TensorView expert_, weight_;   // (rows, top_k), -1 and 0 where dropped
  std::vector<int64_t> counts_;  // [rank][expert] choices; tensor-parallel: of this rank alone
  std::vector<int64_t> tokens_;  // [expert]
  int64_t dropped_ = 0;
  TensorView expanded_, place_, ends_;  // rows by expert, where each slot went, rows of each expert
  TensorView hidden_, act_;
};

// Nobody moves data before all agree on what the operator is.
Status Run::announce() {
  const auto begun = b_.comm->begin(b_.fingerprint());
  if (!begun) return fail(begun.error());
  b_.comm->end();
  return {};
}

Status Run::choose() {
  expert_ = matrix(DType::i32, b_.rows, op_.top_k);
  weight_ = matrix(DType::f32, b_.rows, op_.top_k);
  const TensorView logits = matrix(DType::f32, b_.rows, b_.experts);
  if (expert_.data == nullptr || weight_.data == nullptr || logits.data == nullptr) return refused("the logits");
  if (b_.rows == 0) return {};
  Product router;
  router.m = b_.rows;
  router.n = b_.experts;
  router.k = b_.hidden;
  router.x = op_.x.data;
  router.x_dtype = op_.x.dtype;
  router.x_row_bytes = row_bytes(op_.x.dtype, b_.hidden);
  router.w = weight_at(op_.router, 0);
  router.y = logits.data;
  router.y_dtype = DType::f32;
  if (auto status = run_product(router, kName, work_); !status) return status;
  work_.kernels.moe.top_k({b_.rows, b_.experts, op_.top_k, logits.as<const float>(), op_.normalise,
                           expert_.as<int32_t>(), weight_.as<float>()},
                          lane_);
  return {};
}

Status Run::count() {
  const auto experts = static_cast<size_t>(b_.experts);
  std::vector<int64_t> own(experts, 0);
  for (int64_t slot = 0; slot < b_.slots(); ++slot) ++own[static_cast<size_t>(expert_.as<const int32_t>()[slot])];
  counts_ = own;
  if (op_.expert_parallel && ranks_ > 1) {
    counts_.assign(experts * static_cast<size_t>(ranks_), 0);
    const auto status = all_gather(*b_.comm, own.data(), counts_.data(), b_.experts, DType::i64, lane_);
    if (!status) return status;
  }
  tokens_.assign(experts, 0);
  int64_t sum = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    const bool sensible = counts_[i] >= 0 && counts_[i] <= INT32_MAX - sum;
    if (!sensible) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("moe_ffn: rank {} has {} rows for expert {}, fewer than 2^31 on all ranks wanted",
                              i / experts, counts_[i], i % experts));
    }
    sum += counts_[i];
    tokens_[i % experts] += counts_[i];
  }
  return {};
}

// Rows of `rank` that an expert takes: its capacity goes to the ranks in order.
int64_t Run::kept(int rank, int64_t expert) const {
  const auto experts = static_cast<size_t>(b_.experts), at = static_cast<size_t>(expert);
  int64_t before = 0;
  for (int r = 0; r < rank; ++r) before += counts_[static_cast<size_t>(r) * experts + at];
  const int64_t own = counts_[static_cast<size_t>(rank) * experts + at];
  return op_.capacity == 0 ? own : std::clamp<int64_t>(op_.capacity - before, 0, own);
}

void Run::limit() {
  for (const int64_t count : tokens_) dropped_ += op_.capacity == 0 ? 0 : std::max<int64_t>(0, count - op_.capacity);
  if (dropped_ == 0) return;
  std::vector<int64_t> left(tokens_.size());
  const int self = op_.expert_parallel ? rank_ : 0;
  for (int64_t e = 0; e < b_.experts; ++e) left[static_cast<size_t>(e)] = kept(self, e);
  for (int64_t slot = 0; slot < b_.slots(); ++slot) {
    int32_t& expert = expert_.as<int32_t>()[slot];
    if (left[static_cast<size_t>(expert)]-- > 0) continue;
    expert = -1;
    weight_.as<float>()[slot] = 0;
  }
}

void Run::report() {
  const int64_t sum = std::accumulate(tokens_.begin(), tokens_.end(), int64_t{0});
  const double most = static_cast<double>(*std::max_element(tokens_.begin(), tokens_.end()));
  if (op_.tokens.present()) std::memcpy(op_.tokens.data, tokens_.data(), tokens_.size() * sizeof(int64_t));
  if (op_.dropped.present()) *op_.dropped.as<int64_t>() = dropped_;
  if (op_.imbalance.present()) {
    const double ratio = sum == 0 ? 1 : most * static_cast<double>(b_.experts) / static_cast<double>(sum);
    *op_.imbalance.as<float>() = static_cast<float>(ratio);
  }
  if (op_.expert.present() && b_.rows > 0) std::memcpy(op_.expert.data, expert_.data, expert_.bytes());
  if (op_.weight.present() && b_.rows > 0) std::memcpy(op_.weight.data, weight_.data, weight_.bytes());
}

// Ranks hold columns of one inner row: its scale is the largest of theirs.
Status Run::even_scales(const TensorView& x, Rows& rows) {
  const int64_t n = x.dim(-1), count = x.dim(0);
  const auto status =
      all_reduce(*b_.comm, rows.scale.data, rows.scale.data, count, DType::f32, Combine::maximum, lane_);
  if (!status || n == 0) return status;
  QuantizeArgs args;
  args.rows = 1;
  args.n = n;
  args.x_dtype = x.dtype;
  args.divide = true;
  for (int64_t row = 0; row < count; ++row) {
    args.x = row_of(x, row, n);
    args.scale = {rows.scale.as<const float>() + row, DType::f32, true};
    args.y = row_of(rows.x, row, n);
    work_.kernels.quant.quantize(args, lane_);
  }
  return {};
}

Expected<Rows> Run::quantise(const TensorView& x, bool between_ranks) {
  if (!b_.quantised) return Rows{x, {}};
  const int64_t n = x.dim(-1), count = x.dim(0);
  Rows rows{matrix(DType::i8, count, n), matrix(DType::f32, 1, count)};
  if (rows.x.data == nullptr || rows.scale.data == nullptr) return fail(refused("quantised rows").error());
  std::fill_n(rows.scale.as<float>(), count, 0.0f);
  DynamicQuantArgs args;
  args.rows = count;
  args.n = n;
  args.x = x.data;
  args.x_dtype = x.dtype;
  args.x_row_bytes = row_bytes(x.dtype, n);
  args.y = rows.x.data;
  args.y_row_bytes = n;
  args.scale = rows.scale.as<float>();
  if (n > 0) work_.kernels.quant.dynamic_quant(args, lane_);
  if (!between_ranks || ranks_ == 1) return rows;
  if (auto status = even_scales(x, rows); !status) return fail(status.error());
  return rows;
}

// Rows of x behind one another by expert; with `pad` the same number for each.
Status Run::expand(const TensorView& x, const TensorView& ids) {
  const int64_t slots = ids.elements(), experts = b_.local_experts(), padded = experts * op_.capacity;
  MoeInitRouting init;
  init.x = x;
  init.expert = ids;
  init.counts = true;
  init.capacity = op_.pad ? op_.capacity : 0;
  expanded_ = matrix(x.dtype, op_.pad ? padded : slots, b_.hidden);
  place_ = make_tensor(lane_.scratch->take(dtype_bytes(DType::i32, slots)), DType::i32, {slots});
  ends_ = make_tensor(lane_.scratch->take(dtype_bytes(DType::i64, experts)), DType::i64, {experts});
  if (expanded_.data == nullptr || place_.data == nullptr || ends_.data == nullptr) return refused("expanded rows");
  init.expanded_x = expanded_;
  if (op_.pad) init.expanded_x = make_tensor(expanded_.data, x.dtype, {experts, op_.capacity, b_.hidden});
  init.place = place_;
  init.tokens = ends_;
  if (auto status = run_now(init, work_); !status) return status;
  if (op_.pad) std::fill_n(ends_.as<int64_t>(), experts, op_.capacity);
  return {};
}

Status Run::first_linear(const TensorView& scale) {
  GroupedMatmul first;
  first.x = {expanded_};
  first.weight = op_.first;
  first.group = ends_;
  first.counts = true;
  hidden_ = matrix(op_.x.dtype, expanded_.dim(0), op_.first.front().dim(1));
  if (hidden_.data == nullptr) return refused("hidden rows");
  first.y = {hidden_};
  if (b_.quantised) {
    const int64_t rows = expanded_.dim(0), slots = place_.elements(), choices = slots / scale.elements();
    const TensorView token = make_tensor(lane_.scratch->take(dtype_bytes(DType::f32, rows)), DType::f32, {rows});
    if (token.data == nullptr) return refused("scales of rows");
    std::fill_n(token.as<float>(), rows, 0.0f);
    for (int64_t slot = 0; slot < slots; ++slot) {
      const int32_t at = place_.as<const int32_t>()[slot];
      if (at >= 0) token.as<float>()[at] = scale.as<const float>()[slot / choices];
    }
    first.dequant = op_.first_scale;
    first.token = {token};
  }
  return run_now(first, work_);
}

Status Run::activate() {
  if (!op_.gated) {
    act_ = hidden_;
    work_.kernels.elementwise.unary({hidden_.elements(), hidden_.data, hidden_.data, hidden_.dtype, op_.activation},
                                    lane_);
    return {};
  }
  act_ = matrix(op_.x.dtype, hidden_.dim(0), b_.inner);
  if (act_.data == nullptr) return refused("activated rows");
  SwigluArgs args;
  args.rows = hidden_.dim(0);
  args.n = b_.inner;
  args.gate = hidden_.data;
  args.up = hidden_.as<const char>() + row_bytes(hidden_.dtype, b_.inner);
  args.gate_row_bytes = args.up_row_bytes = row_bytes(hidden_.dtype, 2 * b_.inner);
  args.y = act_.data;
  args.y_row_bytes = row_bytes(act_.dtype, b_.inner);
  args.dtype = act_.dtype;
  work_.kernels.moe.swiglu(args, lane_);
  return {};
}

// act(x @ first[id]) for every slot of `ids`, slot by slot; ids beyond the experts stand for none and give zeros.
Expected<TensorView> Run::inner(const TensorView& x, const TensorView& ids) {
  const int64_t slots = ids.elements();
  const TensorView by_slot = matrix(op_.x.dtype, slots, b_.inner);
  if (by_slot.data == nullptr) return fail(refused("inner rows").error());
  if (slots == 0 || b_.inner == 0) return by_slot;
  auto rows = quantise(x, false);
  if (!rows) return fail(rows.error());
  if (auto status = expand(rows->x, ids); !status) return fail(status.error());
  if (auto status = first_linear(rows->scale); !status) return fail(status.error());
  if (auto status = activate(); !status) return fail(status.error());
  const auto bytes = static_cast<size_t>(row_bytes(act_.dtype, b_.inner));
  for (int64_t slot = 0; slot < slots; ++slot) {
    const int32_t at = place_.as<const int32_t>()[slot];
    const bool none = at < 0 || ids.as<const int32_t>()[slot] >= b_.local_experts();
    void* target = row_of(by_slot, slot, b_.inner);
    if (none) std::memset(target, 0, bytes);
    if (!none) std::memcpy(target, row_of(act_, at, b_.inner), bytes);
  }
  return by_slot;
}

// Tensor-parallel: this rank's columns of every expert, then the weighted sum over ranks.
Status Run::stay() {
  const TensorView ids = matrix(DType::i32, b_.rows, op_.top_k);
  if (ids.data == nullptr) return refused("the ids");
  const auto none = static_cast<int32_t>(b_.experts);
  std::transform(expert_.as<const int32_t>(), expert_.as<const int32_t>() + b_.slots(), ids.as<int32_t>(),
                 [none](int32_t expert) { return expert < 0 ? none : expert; });
  const auto made = inner(op_.x.as_matrix(), ids);
  if (!made) return fail(made.error());
  const auto rows = quantise(*made, true);
  if (!rows) return fail(rows.error());
  MmAllReduceBody down = *b_.down;
  down.product.x = rows->x.data;
  down.expert.data = expert_.data;
  down.expert_weight.data = weight_.data;
  down.expert_token.data = rows->scale.data;
  return down.execute({}, lane_);
}

Journey Run::journey() const {
  Journey way;
  way.to.assign(static_cast<size_t>(ranks_), 0);
  way.from = way.to;
  for (int64_t e = 0; e < b_.experts; ++e) {
    const auto owner = static_cast<size_t>(b_.owner[static_cast<size_t>(e)]);
    way.to[owner] += kept(rank_, e);
    if (static_cast<int>(owner) != rank_) continue;
    for (int rank = 0; rank < ranks_; ++rank) way.from[static_cast<size_t>(rank)] += kept(rank, e);
  }
  way.to_at = starts_of(way.to);
  way.from_at = starts_of(way.from);
  return way;
}

// Rows to the ranks of their experts. What arrives is ordered by rank, expert and row; ids: which of our experts.
Status Run::send_out(const Journey& way, TensorView& arrived, TensorView& ids) {
  const int64_t h = b_.hidden, slots = b_.slots();
  MoeInitRouting init;
  init.x = op_.x.as_matrix();
  init.expert = matrix(DType::i32, b_.rows, op_.top_k);
  init.expanded_x = matrix(op_.x.dtype, slots, h);
  place_ = init.place = make_tensor(lane_.scratch->take(dtype_bytes(DType::i32, slots)), DType::i32, {slots});
  arrived = matrix(op_.x.dtype, way.received(), h);
  ids = matrix(DType::i32, way.received(), 1);
  const bool complete = init.expert.data != nullptr && init.expanded_x.data != nullptr && place_.data != nullptr &&
                        arrived.data != nullptr && ids.data != nullptr;
  if (!complete) return refused("rows between ranks");
  for (int64_t slot = 0; slot < slots; ++slot) {
    const int32_t expert = expert_.as<const int32_t>()[slot];
    init.expert.as<int32_t>()[slot] =
        expert < 0 ? static_cast<int32_t>(b_.experts) : b_.position[static_cast<size_t>(expert)];
  }
  if (auto status = run_now(init, work_); !status) return status;
  auto* id = ids.as<int32_t>();
  for (int rank = 0; rank < ranks_; ++rank) {
    for (int64_t i = b_.mine; i < b_.mine_end; ++i)
      id = std::fill_n(id, kept(rank, b_.by_owner[static_cast<size_t>(i)]), static_cast<int32_t>(i - b_.mine));
  }
  const auto to = times(way.to, h), to_at = times(way.to_at, h), from = times(way.from, h),
             from_at = times(way.from_at, h);
  return all_to_all_v(*b_.comm, init.expanded_x.data, {to, to_at}, arrived.data, {from, from_at}, op_.x.dtype, lane_);
}

// The second linear of what arrived, not yet summed: its leaves, which belong together with those of other experts.
Status Run::at_home(const TensorView& arrived, const TensorView& ids, TensorView& leaves) {
  const int kLeaves = leaves_per_rank(1);
  const int64_t count = arrived.dim(0);
  leaves = matrix(DType::f32, count, kLeaves * b_.hidden);
  if (leaves.data == nullptr) return refused("the leaves");
  const auto made = inner(arrived, ids);
  if (!made) return fail(made.error());
  const auto rows = quantise(*made, false);
  if (!rows) return fail(rows.error());
  if (count == 0) return {};
  std::vector<Weight> experts;
  std::vector<ScaleView> scales;
  for (const TensorView& weight : op_.second) experts.push_back(weight_at(weight, 0));
  for (const TensorView& scale : op_.second_scale) scales.push_back({scale.data, scale.dtype, 0, 1});
  ExpertProduct second;
  second.table = b_.table;
  second.product.n = b_.hidden;
  second.product.k = b_.inner;
  second.product.leaves = kLeaves;
  second.product.x = rows->x.data;
  second.product.x_dtype = rows->x.dtype;
  second.product.x_row_bytes = row_bytes(rows->x.dtype, b_.inner);
  second.top_k = 1;
  second.experts = experts;
  second.scale = scales;
  second.expert = ids;
  second.token = rows->scale;
  return expert_leaves(second, 0, count, leaves.as<float>(), lane_);
}

// Leaves to the ranks of their rows, and their weighted sum there.
Status Run::come_back(const Journey& way, const TensorView& leaves) {
  const int kLeaves = leaves_per_rank(1);
  const int64_t width = kLeaves * b_.hidden, slots = b_.slots();
  const TensorView returned = matrix(DType::f32, way.sent() + 1, width), sums = matrix(DType::f32, b_.rows, b_.hidden);
  auto** inputs = lane_.scratch->take_array<const float*>(slots);
  auto** targets = lane_.scratch->take_array<float*>(b_.rows);
  if (returned.data == nullptr || sums.data == nullptr || inputs == nullptr || targets == nullptr)
    return refused("returned rows");
  const auto to = times(way.to, width), to_at = times(way.to_at, width), from = times(way.from, width),
             from_at = times(way.from_at, width);
  const auto status =
      all_to_all_v(*b_.comm, leaves.data, {from, from_at}, returned.data, {to, to_at}, DType::f32, lane_);
  if (!status || b_.rows == 0) return status;
  auto* nothing = returned.as<float>() + way.sent() * width;
  std::fill_n(nothing, width, 0.0f);
  for (int64_t slot = 0; slot < slots; ++slot) {
    const bool none = expert_.as<const int32_t>()[slot] < 0;
    inputs[slot] = none ? nothing : returned.as<const float>() + place_.as<const int32_t>()[slot] * width;
  }
  for (int64_t row = 0; row < b_.rows; ++row) targets[row] = sums.as<float>() + row * b_.hidden;
  work_.kernels.gemm.combine(
      {b_.rows, b_.hidden, kLeaves, static_cast<int>(op_.top_k), inputs, weight_.as<const float>(), targets}, lane_);
  work_.kernels.reduce.cast({sums.elements(), sums.data, DType::f32, op_.y.data, op_.y.dtype}, lane_);
  return {};
}

Status Run::travel() {
  const Journey way = journey();
  TensorView arrived, ids, leaves;
  if (auto status = send_out(way, arrived, ids); !status) return status;
  // Slots of this rank's own rows are needed again when they come back; at home there are others.
  const TensorView place = place_;
  if (auto status = at_home(arrived, ids, leaves); !status) return status;
  place_ = place;
  return come_back(way, leaves);
}

}  // namespace

Status MoeFfnBody::execute(std::span<std::byte>, Lane& lane) const {
  if (empty()) return {};
  return Run(*this, lane).all();
}

}  // namespace tandem
