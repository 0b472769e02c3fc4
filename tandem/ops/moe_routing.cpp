// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/moe_routing.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";

constexpr Field<MoeGating> kGating[] = {
    {{"x", Role::input, kFloats, "rows.. experts", "logits of the router"}, &MoeGating::x},
    {{"finished", Role::option, "u8", "rows..", "rows that need no expert"}, &MoeGating::finished},
    {{"y", Role::output, "=x", "rows.. k", "weights"}, &MoeGating::y},
    {{"expert", Role::output, "i32", "rows.. k", "ids"}, &MoeGating::expert},
    {{"row", Role::option_output, "i32", "rows.. k", "numbers of the slots"}, &MoeGating::row},
    {{"softmax", Role::option_output, "f32", "=x", "p of every expert"}, &MoeGating::softmax},
};
constexpr Number<MoeGating> kGatingNumbers[] = {
    {"top_k", "experts of a row", &MoeGating::top_k, {1, 1024}},
    {"normalise", "weights of a row add up to 1", &MoeGating::normalise, {0, 1}}};

constexpr Field<MoeInitRouting> kInit[] = {
    {{"x", Role::input, "f32 f16 bf16 i8", "n h", "tokens"}, &MoeInitRouting::x},
    {{"row", Role::option, "i32", "n k", "numbers of the slots"}, &MoeInitRouting::row},
    {{"expert", Role::input, "i32", "n k", "ids"}, &MoeInitRouting::expert},
    {{"expanded_x", Role::output, "=x", "slots h | experts capacity h", "tokens by expert"},
     &MoeInitRouting::expanded_x},
    {{"place", Role::output, "i32", "all", "where each slot went"}, &MoeInitRouting::place},
    {{"sorted_expert", Role::option_output, "i32", "all", "ids in order"}, &MoeInitRouting::sorted_expert},
    {{"tokens", Role::option_output, "i32 i64", "e", "rising counts of the experts"}, &MoeInitRouting::tokens},
    {{"order", Role::option_output, "i32", "all", "numbers of the slots in order, -1 for those left out"},
     &MoeInitRouting::order},
};
constexpr Number<MoeInitRouting> kInitNumbers[] = {
    {"active", "rows of x whose slots are copied; 0: all", &MoeInitRouting::active, {0, 9e15}},
    {"counts", "tokens of each expert alone", &MoeInitRouting::counts, {0, 1}},
    {"capacity", "slots an expert takes, padded; 0: all", &MoeInitRouting::capacity, {0, INT32_MAX}},
    {"first_expert", "first id that counts", &MoeInitRouting::first_expert, {0, INT32_MAX}},
    {"last_expert", "id behind the last that counts; 0: all", &MoeInitRouting::last_expert, {0, INT32_MAX}}};

constexpr Field<MoeExpertTokens> kTokens[] = {
    {{"sorted_expert", Role::input, "i32", "slots", "rising ids"}, &MoeExpertTokens::sorted_expert},
    {{"tokens", Role::output, "i32 i64", "experts", "rising counts"}, &MoeExpertTokens::tokens},
};

constexpr Field<MoeFinalizeRouting> kFinalize[] = {
    {{"expanded", Role::input, kFloats, "slots h | padded capacity h", "results by expert"},
     &MoeFinalizeRouting::expanded},
    {{"place", Role::input, "i32", "all", "where each slot went"}, &MoeFinalizeRouting::place},
    {{"skip1", Role::option, "=expanded", "n h", "added to each row"}, &MoeFinalizeRouting::skip1},
    {{"skip2", Role::option, "=expanded", "n h", "added to each row"}, &MoeFinalizeRouting::skip2},
    {{"bias", Role::option, "=expanded", "experts h", "added to results of an expert"}, &MoeFinalizeRouting::bias},
    {{"scales", Role::option, "=expanded f32", "n k", "weights; 1 where absent"}, &MoeFinalizeRouting::scales},
    {{"expert", Role::option, "i32", "n k", "ids, for bias"}, &MoeFinalizeRouting::expert},
    {{"y", Role::output, "=expanded", "n h", "rows"}, &MoeFinalizeRouting::y},
};
constexpr Number<MoeFinalizeRouting> kFinalizeNumbers[] = {
    {"row_major", "place is [i * k + j]", &MoeFinalizeRouting::row_major, {0, 1}}};

void check_gating(Check& check, const MoeGating& op) {
  const int64_t experts = op.x.dim(-1);
  check.that(op.top_k <= experts, "top_k is {}, at most {} wanted (the experts of x {})", op.top_k, experts,
             op.x.describe());
  check.that(op.y.dim(-1) == op.top_k, "y is {}, {} columns wanted (top_k)", op.y.describe(), op.top_k);
}

// Falling logits; equal ones keep their rising ids, NaN comes last.
void sort_row(const float* logits, int32_t* expert, float* weight, int64_t k) {
  for (int64_t i = 1; i < k; ++i) {
    const int32_t id = expert[i];
    const float w = weight[i], logit = logits[id];
    int64_t j = i;
    for (; j > 0; --j) {
      const float before = logits[expert[j - 1]];
      const bool later = logit > before || (before != before && logit == logit);
      if (!later) break;
      expert[j] = expert[j - 1], weight[j] = weight[j - 1];
    }
    expert[j] = id, weight[j] = w;
  }
}

Status run_gating(const MoeGating& op, Work& work) {
  const int64_t experts = op.x.dim(-1), k = op.top_k, rows = op.expert.elements() / k;
  auto* logits = work.lane.scratch->take_array<float>(rows * experts);
  auto* weight = work.lane.scratch->take_array<float>(rows * k);
  if (logits == nullptr || weight == nullptr) return no_scratch("moe_gating", "the logits");
  auto* expert = op.expert.as<int32_t>();
  work.kernels.reduce.cast({rows * experts, op.x.data, op.x.dtype, logits, DType::f32}, work.lane);
  work.kernels.moe.top_k({rows, experts, k, logits, op.normalise, expert, weight}, work.lane);
  for (int64_t i = 0; i < rows; ++i) {
    sort_row(logits + i * experts, expert + i * k, weight + i * k, k);
    const bool finished = op.finished.present() && op.finished.as<const uint8_t>()[i] != 0;
    if (finished) std::fill_n(expert + i * k, k, static_cast<int32_t>(experts));
    for (int64_t j = 0; j < k && op.row.present(); ++j)
      op.row.as<int32_t>()[i * k + j] = static_cast<int32_t>(i + j * rows);
  }
  work.kernels.reduce.cast({rows * k, weight, DType::f32, op.y.data, op.y.dtype}, work.lane);
  if (op.softmax.present()) {
    const int64_t bytes = row_bytes(DType::f32, experts);
    work.kernels.norm.softmax({rows, experts, logits, bytes, op.softmax.data, bytes, DType::f32}, work.lane);
  }
  return {};
}

void check_init(Check& check, const MoeInitRouting& op) {
  const int64_t n = op.x.dim(0), k = op.expert.dim(1), copied = (op.active == 0 ? n : std::min(op.active, n)) * k;
  check.that(op.place.elements() == n * k, "place is {}, [{}] wanted", op.place.describe(), n * k);
  if (op.capacity == 0) {
    check.that(op.expanded_x.rank == 2 && op.expanded_x.dim(0) == copied, "expanded_x is {}, [{},{}] wanted",
               op.expanded_x.describe(), copied, op.x.dim(1));
  } else {
    check.that(op.expanded_x.rank == 3 && op.expanded_x.dim(1) == op.capacity, "expanded_x is {}, [..,{},{}] wanted",
               op.expanded_x.describe(), op.capacity, op.x.dim(1));
    check.that(op.expanded_x.dim(0) <= INT32_MAX / op.capacity, "expanded_x is {}, fewer than 2^31 rows wanted",
               op.expanded_x.describe());
  }
  check.that(!op.order.present() || op.order.elements() == n * k, "order is {}, [{}] wanted", op.order.describe(),
             n * k);
  check.that(op.last_expert == 0 || op.last_expert > op.first_expert, "last_expert is {}, 0 or more than {} wanted",
             op.last_expert, op.first_expert);
  check.that(n * k <= INT32_MAX, "expert is {}, fewer than 2^31 slots wanted", op.expert.describe());
}

bool counts(const MoeInitRouting& op, int32_t expert) {
  return op.last_expert == 0 || (expert >= op.first_expert && expert < op.last_expert);
}

void count_tokens(const MoeInitRouting& op, const int32_t* order) {
  if (!op.tokens.present()) return;
  const int64_t slots = op.expert.elements();
  const auto* expert = op.expert.as<const int32_t>();
  int64_t p = 0;
  for (int64_t e = 0; e < op.tokens.elements(); ++e) {
    const int64_t before = op.counts ? p : 0;
    while (p < slots && counts(op, expert[order[p]]) && expert[order[p]] <= e + op.first_expert) ++p;
    if (op.tokens.dtype == DType::i32) op.tokens.as<int32_t>()[e] = static_cast<int32_t>(p - before);
    if (op.tokens.dtype == DType::i64) op.tokens.as<int64_t>()[e] = p - before;
  }
}

// Where the p-th slot goes, whose expert is `expert` and in whose order `ahead` slots stand before it; -1: nowhere.
int64_t place_of(const MoeInitRouting& op, int64_t p, int64_t expert, int64_t ahead) {
  if (op.capacity == 0) return p;
  const bool taken = expert >= 0 && expert < op.expanded_x.dim(0) && ahead < op.capacity;
  return taken ? expert * op.capacity + ahead : -1;
}

Status run_init(const MoeInitRouting& op, Work& work) {
  const int64_t n = op.x.dim(0), h = op.x.dim(1), k = op.expert.dim(1), slots = n * k;
  const int64_t copied = op.expanded_x.elements() / std::max<int64_t>(1, h);
  const auto* expert = op.expert.as<const int32_t>();
  const auto* row = op.row.as<const int32_t>();
  auto* order = work.lane.scratch->take_array<int32_t>(slots);
  if (order == nullptr) return no_scratch("moe_init_routing", "the order");
  std::iota(order, order + slots, 0);
  std::stable_sort(order, order + slots, [&](int32_t a, int32_t b) {
    const bool first = counts(op, expert[a]), second = counts(op, expert[b]);
    return first != second ? first : expert[a] < expert[b];
  });
  const auto bytes = static_cast<size_t>(row_bytes(op.x.dtype, h));
  if (op.capacity > 0) std::memset(op.expanded_x.data, 0, op.expanded_x.bytes());
  int64_t ahead = 0;
  for (int64_t p = 0; p < slots; ++p) {
    ahead = p > 0 && expert[order[p]] == expert[order[p - 1]] ? ahead + 1 : 0;
    const int64_t slot = order[p], number = row == nullptr ? slot : row[slot];
    if (number < 0 || number >= slots) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("moe_init_routing: row[{}] is {}, a value in [0, {}) wanted", slot, number, slots));
    }
    const int64_t place = counts(op, expert[slot]) ? place_of(op, p, expert[slot], ahead) : -1;
    if (op.order.present()) op.order.as<int32_t>()[p] = counts(op, expert[slot]) ? static_cast<int32_t>(number) : -1;
    op.place.as<int32_t>()[number] = static_cast<int32_t>(place);
    if (op.sorted_expert.present()) op.sorted_expert.as<int32_t>()[p] = expert[slot];
    if (place < 0 || place >= copied) continue;
    const int64_t source = row == nullptr ? slot / k : number % n;
    std::memcpy(row_of(op.expanded_x, place, h), row_of(op.x, source, h), bytes);
  }
  count_tokens(op, order);
  return {};
}

Status run_tokens(const MoeExpertTokens& op, Work&) {
  const auto* id = op.sorted_expert.as<const int32_t>();
  const int64_t slots = op.sorted_expert.elements();
  int64_t p = 0;
  for (int64_t e = 0; e < op.tokens.elements(); ++e) {
    while (p < slots && id[p] <= e) ++p;
    if (op.tokens.dtype == DType::i32) op.tokens.as<int32_t>()[e] = static_cast<int32_t>(p);
    if (op.tokens.dtype == DType::i64) op.tokens.as<int64_t>()[e] = p;
  }
  return {};
}

int64_t slots_of_row(const MoeFinalizeRouting& op) { return op.y.dim(0) == 0 ? 0 : op.place.elements() / op.y.dim(0); }

void check_finalize(Check& check, const MoeFinalizeRouting& op) {
  const int64_t n = op.y.dim(0), k = slots_of_row(op);
  check.that(op.place.elements() == n * k, "place is {}, a multiple of the {} rows of y wanted", op.place.describe(),
             n);
  check.that(!op.scales.present() || op.scales.dim(1) == k, "scales is {}, [{},{}] wanted", op.scales.describe(), n, k);
  check.that(!op.skip2.present() || op.skip1.present(), "skip1 is absent, one wanted beside skip2");
  check.that(!op.bias.present() || op.expert.present(), "expert is absent, one wanted for bias");
  check.that(!op.expert.present() || op.expert.dim(1) == k, "expert is {}, [{},{}] wanted", op.expert.describe(), n, k);
}

// Operands of the weighted sum: a row for each slot.
struct Slots {
  const float** inputs;
  float* weights;
};

// Rows of the experts (+ bias) in f32, in the order the sum takes them.
Expected<Slots> gather(const MoeFinalizeRouting& op, Work& work) {
  const int64_t n = op.y.dim(0), k = slots_of_row(op), h = op.y.dim(1), count = op.expanded.row_count();
  Scratch& scratch = *work.lane.scratch;
  Slots slots{scratch.take_array<const float*>(n * k), scratch.take_array<float>(n * k)};
  auto* rows = scratch.take_array<float>((n * k + 1) * h);
  if (slots.inputs == nullptr || slots.weights == nullptr || rows == nullptr)
    return no_scratch("moe_finalize_routing", "the rows");
  for (int64_t slot = 0; slot < n * k; ++slot) {
    const int64_t place = op.place.as<const int32_t>()[op.row_major ? slot : slot % k * n + slot / k];
    if (place < -1 || place >= count) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("moe_finalize_routing: a place is {}, a value in [-1, {}) wanted", place, count));
    }
    float* target = rows + slot * h;
    slots.inputs[slot] = target;
    slots.weights[slot] = 1;
    std::fill_n(target, h, 0.0f);
    if (place >= 0)
      work.kernels.reduce.cast({h, row_of(op.expanded, place, h), op.expanded.dtype, target, DType::f32}, work.lane);
    if (!op.bias.present()) continue;
    const int64_t expert = op.expert.as<const int32_t>()[slot];
    if (expert < 0 || expert >= op.bias.dim(0)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("moe_finalize_routing: an id is {}, a value in [0, {}) wanted", expert, op.bias.dim(0)));
    }
    const void* bias = row_of(op.bias, expert, h);
    work.kernels.reduce.add_rows({1, h, &target, &bias, op.bias.dtype}, work.lane);
  }
  if (op.scales.present()) {
    work.kernels.reduce.cast({n * k, op.scales.data, op.scales.dtype, slots.weights, DType::f32}, work.lane);
  }
  return slots;
}

Status run_finalize(const MoeFinalizeRouting& op, Work& work) {
  const int64_t n = op.y.dim(0), h = op.y.dim(1);
  const auto slots = gather(op, work);
  if (!slots) return fail(slots.error());
  auto** targets = work.lane.scratch->take_array<float*>(n);
  auto** sources = work.lane.scratch->take_array<const void*>(n);
  auto* sums = work.lane.scratch->take_array<float>(n * h);
  if (targets == nullptr || sources == nullptr || sums == nullptr)
    return no_scratch("moe_finalize_routing", "the sums");
  for (int64_t i = 0; i < n; ++i) targets[i] = sums + i * h;
  work.kernels.gemm.combine({n, h, 1, static_cast<int>(slots_of_row(op)), slots->inputs, slots->weights, targets},
                            work.lane);
  for (const TensorView* skip : {&op.skip1, &op.skip2}) {
    if (!skip->present()) continue;
    for (int64_t i = 0; i < n; ++i) sources[i] = row_of(*skip, i, h);
    work.kernels.reduce.add_rows({n, h, targets, sources, skip->dtype}, work.lane);
  }
  work.kernels.reduce.cast({n * h, sums, DType::f32, op.y.data, op.y.dtype}, work.lane);
  return {};
}

}  // namespace

template <>
const OperatorTable<MoeGating>& table_of<MoeGating>() {
  static constexpr OperatorTable<MoeGating> kTable{
      "moe_gating", "y, expert = the top_k largest of softmax(x)", kGating, kGatingNumbers, check_gating, run_gating};
  return kTable;
}

template <>
const OperatorTable<MoeInitRouting>& table_of<MoeInitRouting>() {
  static constexpr OperatorTable<MoeInitRouting> kTable{"moe_init_routing",
                                                        "expanded_x = rows of x in the order of their experts",
                                                        kInit,
                                                        kInitNumbers,
                                                        check_init,
                                                        run_init};
  return kTable;
}

template <>
const OperatorTable<MoeFinalizeRouting>& table_of<MoeFinalizeRouting>() {
  static constexpr OperatorTable<MoeFinalizeRouting> kTable{
      "moe_finalize_routing",
      "y = skip1 + skip2 + sum of scales * (expanded[place] + bias[expert])",
      kFinalize,
      kFinalizeNumbers,
      check_finalize,
      run_finalize};
  return kTable;
}

template <>
const OperatorTable<MoeExpertTokens>& table_of<MoeExpertTokens>() {
  static constexpr OperatorTable<MoeExpertTokens> kTable{
      "moe_expert_tokens", "tokens[e] = number of ids up to e", kTokens, {}, nullptr, run_tokens};
  return kTable;
}

Expected<Plan> plan(const MoeGating& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const MoeExpertTokens& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const MoeInitRouting& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const MoeFinalizeRouting& op, Device&) { return plan_single(op); }

}  // namespace tandem
