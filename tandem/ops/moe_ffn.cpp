// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/moe_ffn.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tandem/comm/collective_call.h"
#include "tandem/ops/moe_ffn_body.h"
#include "tandem/ops/product.h"

namespace tandem {
namespace {

constexpr std::string_view kName = "moe_ffn";
constexpr std::string_view kFloats = "f32 f16 bf16";
constexpr std::string_view kScales = "f32 f16 bf16";

constexpr Field<MoeFfn> kFields[] = {
    {{"x", Role::input, kFloats, "rows.. h", "tokens", Layout::dense}, &MoeFfn::x},
    {{"router", Role::input, "=x", "h experts", "weights of the router", Layout::own}, &MoeFfn::router},
    {{"first", Role::option, "=x i8", "", "first linear of the experts", Layout::own}, nullptr, &MoeFfn::first},
    {{"second", Role::option, "=x i8", "", "second linear of the experts", Layout::own}, nullptr, &MoeFfn::second},
    {{"first_scale", Role::option, kScales, "", "of int8 first", Layout::dense}, nullptr, &MoeFfn::first_scale},
    {{"second_scale", Role::option, kScales, "", "of int8 second", Layout::dense}, nullptr, &MoeFfn::second_scale},
    {{"y", Role::output, "=x", "=x", "results of the tokens", Layout::dense}, &MoeFfn::y},
    {{"tokens", Role::option_output, "i64", "experts", "rows that chose each expert", Layout::dense}, &MoeFfn::tokens},
    {{"imbalance", Role::option_output, "f32", "1", "largest load by the mean", Layout::dense}, &MoeFfn::imbalance},
    {{"dropped", Role::option_output, "i64", "1", "choices beyond the capacity", Layout::dense}, &MoeFfn::dropped},
    {{"expert", Role::option_output, "i32", "rows.. k", "ids, -1 where dropped", Layout::dense}, &MoeFfn::expert},
    {{"weight", Role::option_output, "f32", "rows.. k", "of the chosen experts", Layout::dense}, &MoeFfn::weight},
};
constexpr Number<MoeFfn> kNumbers[] = {
    {"top_k", "experts of a row", &MoeFfn::top_k, {1, 1024}},
    {"capacity", "rows an expert takes at most; 0: all", &MoeFfn::capacity, {0, 1 << 30}},
    {"normalise", "weights of a row add up to 1", &MoeFfn::normalise, {0, 1}},
    {"gated", "first is gate and up side by side", &MoeFfn::gated, {0, 1}},
    {"pad", "every expert computes `capacity` rows", &MoeFfn::pad, {0, 1}},
    {"expert_parallel", "ranks have whole experts", &MoeFfn::expert_parallel, {0, 1}}};

int64_t width_of(const MoeFfn& op) { return op.first.empty() ? 0 : op.first.front().dim(-1); }
int64_t inner_of(const MoeFfn& op) { return op.gated ? width_of(op) / 2 : width_of(op); }
bool quantised(const MoeFfn& op) { return !op.first.empty() && op.first.front().dtype == DType::i8; }

void check_matrix(Check& check, std::string_view name, const TensorView& matrix, int64_t k, int64_t n, DType dtype) {
  check.present(name, matrix).rank(name, matrix, 2, 2);
  if (check.failed()) return;
  check.that(matrix.dim(0) == k && matrix.dim(1) == n, "{} is {}, [{},{}] wanted", name, matrix.describe(), k, n);
  check.that(matrix.dtype == dtype, "{} is {}, {} wanted (that of the first expert)", name, matrix.describe(),
             dtype_name(dtype));
  check.that(plain_matrix(matrix), "{} {} has strides [{},{}], a row-major or transposed matrix wanted", name,
             matrix.describe(), matrix.step(0), matrix.step(1));
}

void check_scales(Check& check, std::string_view name, const std::vector<TensorView>& scales, const MoeFfn& op,
                  int64_t columns) {
  const size_t wanted = quantised(op) ? op.first.size() : 0;
  check.that(scales.size() == wanted, "{} has {} tensors, {} wanted (int8 experts)", name, scales.size(), wanted);
  for (size_t i = 0; i < scales.size() && !check.failed(); ++i) {
    check.that(scales[i].rank == 1 && scales[i].dim(0) == columns && scales[i].dtype == scales.front().dtype,
               "{} is {}, [{}] {} wanted", name, scales[i].describe(), columns, dtype_name(scales.front().dtype));
  }
}

void check_load(Check& check, const MoeFfn& op) {
  const int64_t experts = op.router.dim(1);
  check.that(op.top_k <= experts, "top_k is {}, at most {} wanted (the experts of router {})", op.top_k, experts,
             op.router.describe());
  check.that(!op.pad || op.capacity > 0, "pad is given without capacity, a capacity wanted");
  check.that(!op.pad || op.capacity <= INT32_MAX / std::max<int64_t>(experts, 1),
             "capacity is {} with pad for {} experts, fewer than 2^31 rows wanted", op.capacity, experts);
  const bool activation = op.activation == Unary::silu || op.activation == Unary::gelu;
  check.that(activation, "activation is unknown, silu or gelu wanted");
  for (const TensorView* choice : {&op.expert, &op.weight}) {
    check.that(!choice->present() || choice->dim(-1) == op.top_k, "expert or weight is {}, {} columns wanted (top_k)",
               choice->describe(), op.top_k);
  }
  check.that(op.x.row_count() <= INT32_MAX / op.top_k, "x is {}, fewer than 2^31 rows times top_k wanted",
             op.x.describe());
}

void check_moe(Check& check, const MoeFfn& op) {
  const int64_t experts = op.router.dim(1), hidden = op.x.dim(-1);
  check.that(plain_matrix(op.router), "router {} has gaps, a row-major or transposed matrix wanted",
             op.router.describe());
  check.that(hidden > 0, "x is {}, at least one column wanted", op.x.describe());
  check_load(check, op);
  if (!op.expert_parallel) {
    check.that(static_cast<int64_t>(op.first.size()) == experts && op.owner.empty(),
               "first has {} experts and owner {} values, {} experts and no owner wanted (tensor-parallel)",
               op.first.size(), op.owner.size(), experts);
  }
  check.that(op.second.size() == op.first.size(), "second has {} experts, {} wanted (those of first)", op.second.size(),
             op.first.size());
  check.that(!op.gated || width_of(op) % 2 == 0, "first has {} columns, an even number wanted (gate and up)",
             width_of(op));
  for (size_t e = 0; e < op.first.size() && !check.failed(); ++e) {
    check_matrix(check, "first", op.first[e], hidden, width_of(op), op.first.front().dtype);
    check_matrix(check, "second", op.second[e], inner_of(op), hidden, op.first.front().dtype);
  }
  check_scales(check, "first_scale", op.first_scale, op, width_of(op));
  check_scales(check, "second_scale", op.second_scale, op, hidden);
  // 128 * 128 times it fits an int32 sum.
  check.that(!quantised(op) || (hidden <= 65535 && inner_of(op) <= 65535), "first is {}, fewer than 65536 of k wanted",
             op.first.empty() ? "" : op.first.front().describe());
}

// Owners of all experts, and which of them are this rank's.
Status place(MoeFfnBody& body) {
  const int64_t experts = body.experts, size = body.comm->size();
  body.owner = body.op.owner;
  for (int64_t e = 0; body.op.owner.empty() && e < experts; ++e)
    body.owner.push_back(static_cast<int32_t>(((e + 1) * size - 1) / experts));
  Check check(kName);
  check.that(static_cast<int64_t>(body.owner.size()) == experts, "owner has {} values, {} wanted (the experts)",
             body.owner.size(), experts);
  for (const int32_t rank : body.owner) {
    check.that(rank >= 0 && rank < size, "owner has rank {}, 0 to {} wanted", rank, size - 1);
  }
  if (check.failed()) return check.status();
  body.by_owner.resize(body.owner.size());
  body.position.resize(body.owner.size());
  std::iota(body.by_owner.begin(), body.by_owner.end(), 0);
  const auto owner_of = [&](int32_t e) { return body.owner[static_cast<size_t>(e)]; };
  std::stable_sort(body.by_owner.begin(), body.by_owner.end(),
                   [&](int32_t a, int32_t b) { return owner_of(a) < owner_of(b); });
  for (size_t i = 0; i < body.by_owner.size(); ++i)
    body.position[static_cast<size_t>(body.by_owner[i])] = static_cast<int32_t>(i);
  const auto before = [&](int rank) {
    return std::count_if(body.owner.begin(), body.owner.end(), [&](int32_t owner) { return owner < rank; });
  };
  body.mine = before(body.comm->rank());
  body.mine_end = before(body.comm->rank() + 1);
  check.that(body.mine_end - body.mine == body.local_experts(), "first has {} experts, {} wanted (owner gives rank {})",
             body.local_experts(), body.mine_end - body.mine, body.comm->rank());
  return check.status();
}

// The second linear: weighted over the experts and summed over ranks in one operator.
Status plan_down(MoeFfnBody& body, std::string_view group, Device& device) {
  const MoeFfn& op = body.op;
  MmAllReduce down;
  const DType dtype = body.quantised ? DType::i8 : op.x.dtype;
  down.x1 = make_tensor(nullptr, dtype, {body.rows, op.top_k, body.inner});
  down.experts = ExpertList{op.second, make_tensor(nullptr, DType::i32, {body.rows, op.top_k}),
                            make_tensor(nullptr, DType::f32, {body.rows, op.top_k}), op.second_scale,
                            body.quantised ? make_tensor(nullptr, DType::f32, {body.rows, op.top_k}) : TensorView{}};
  down.y = make_tensor(op.y.data, op.y.dtype, {body.rows, body.hidden});
  down.group = group;
  auto made = make_body(down, device);
  if (!made) return fail(made.error());
  body.down = std::move(*made);
  return {};
}

}  // namespace

template <>
const OperatorTable<MoeFfn>& table_of<MoeFfn>() {
  static constexpr OperatorTable<MoeFfn> kTable{
      kName,     "y = sum of weight * (act(x @ first) @ second) over the top_k experts of softmax(x @ router)",
      kFields,   kNumbers,
      check_moe, nullptr};
  return kTable;
}

Fingerprint MoeFfnBody::fingerprint() const {
  Fingerprint print;
  std::memcpy(print.operation, kName.data(), kName.size());
  print.rows = op.expert_parallel ? -1 : rows;
  print.n = hidden;
  print.output = op.y.dtype;
  print.tail = op.expert_parallel ? 1 : 0;
  std::vector<int64_t> rest = {
      experts, op.top_k, op.capacity, op.normalise, op.gated, op.pad, static_cast<int64_t>(op.activation)};
  // A rank without experts cannot tell how the others' are stored.
  if (!op.expert_parallel) rest.push_back(quantised);
  rest.insert(rest.end(), owner.begin(), owner.end());
  print.layout = hash_of(rest);
  return print;
}

std::string MoeFfnBody::describe() const {
  return fmt::format("rank={}/{} rows={} h={} f={} experts={} top_k={} capacity={}{} x={} w={} form={} table={}",
                     comm->rank(), comm->size(), rows, hidden, inner, experts, op.top_k, op.capacity,
                     op.pad ? " pad" : "", dtype_name(op.x.dtype), quantised ? "i8" : dtype_name(op.x.dtype),
                     op.expert_parallel ? "expert" : "tensor", table->name);
}

Expected<Plan> plan(const MoeFfn& op, Device& device) {
  if (auto status = check_table(table_of<MoeFfn>(), op); !status) return fail(status.error());
  auto comm = Communicator::find(op.group, device.index());
  if (!comm) return fail(comm.error().code, fmt::format("{}: group {}", kName, comm.error().message));
  auto body = std::make_shared<MoeFfnBody>();
  body->op = op;
  body->op.group = {};  // the caller may free it
  body->comm = std::move(*comm);
  body->table = &default_table();
  body->rows = op.x.row_count();
  body->hidden = op.x.dim(-1);
  body->experts = op.router.dim(1);
  body->inner = inner_of(op);
  body->quantised = quantised(op);
  Status ready = {};
  if (op.expert_parallel) {
    ready = place(*body);
  } else if (body->rows > 0) {
    ready = plan_down(*body, op.group, device);
  }
  if (!ready) return fail(ready.error());
  return Plan(std::move(body));
}

}  // namespace tandem
