// SPDX-License-Identifier: Apache-2.0
// Our own contenders.
#include "bench/op/contender.h"
#include "tandem/comm/collectives.h"
#include "tandem/kernels/table.h"

namespace tandem::bench::op {
namespace {

// Rows of f32 of a product, and pointers to them.
struct Rows {
  std::vector<float> values;
  std::vector<void*> at;
  Rows(int64_t rows, int64_t n) : values(static_cast<size_t>(rows * n)), at(static_cast<size_t>(rows)) {
    for (int64_t row = 0; row < rows; ++row) at[static_cast<size_t>(row)] = values.data() + row * n;
  }
};

// The kernels one after the other; `out` has its own memory.
struct Unfused {
  std::shared_ptr<Operands> operands;
  ChainContext context;
  Rows partial, sums;
  fused::Outputs out;
  std::vector<std::byte> x;  // all_gather: rows of all ranks
  std::vector<int64_t> counts, displacements;
  std::vector<float> spare;  // of the arithmetic alone: what peers would have sent

  Unfused(std::shared_ptr<Operands> its_operands, const ChainContext& its_context)
      : operands(std::move(its_operands)),
        context(its_context),
        partial(operands->problem().data.m, operands->problem().data.n),
        sums(operands->out_rows(), operands->problem().data.n),
        out(operands->out()) {
    const OpProblem& p = operands->problem();
    const bool gathers = p.kind == OpKind::all_gather;
    const int64_t width = gathers ? p.data.k : p.data.n;
    for (int rank = 0; rank < p.ranks; ++rank) {
      counts.push_back(p.rows_of(rank) * width);
      displacements.push_back(p.first_row(rank) * width);
    }
    if (gathers) x.resize(dtype_bytes(p.data.dtype, p.data.m * p.data.k));
  }

  Status product(size_t copy) {
    default_table().gemm.run(operands->product(copy, partial.at.data()), context.lane);
    return {};
  }

  Status gather() {
    const OpProblem& p = operands->problem();
    const auto own = static_cast<size_t>(context.comm->rank());
    const auto* rows = fused::operand(operands->data(), "x1").bytes.data();
    return all_gather_v(*context.comm, rows + dtype_bytes(p.data.dtype, displacements[own]), x.data(),
                        {counts, displacements}, p.data.dtype, context.lane);
  }

  Status communicate() {
    const OpProblem& p = operands->problem();
    if (p.ranks == 1 || p.kind == OpKind::all_gather) return {};
    if (p.kind == OpKind::all_reduce) {
      return all_reduce(*context.comm, partial.values.data(), partial.values.data(), p.data.m * p.data.n, DType::f32,
                        Combine::sum, context.lane);
    }
    return reduce_scatter_v(*context.comm, partial.values.data(), {counts, displacements}, sums.values.data(),
                            DType::f32, Combine::sum, context.lane);
  }

  void tail() {
    const bool scattered = operands->problem().kind == OpKind::reduce_scatter && operands->problem().ranks > 1;
    operands->tail((scattered ? sums : partial).at.data(), out, context.lane);
  }

  Status run(size_t copy) {
    if (operands->problem().kind == OpKind::all_gather && operands->problem().ranks > 1) {
      if (Status s = gather(); !s) return s;
    }
    if (Status s = product(copy); !s) return s;
    if (Status s = communicate(); !s) return s;
    tail();
    return {};
  }

  // Product, this rank's share of the sums, tail: what has to be computed whoever moves the data.
  Status arithmetic(size_t copy) {
    if (Status s = product(copy); !s) return s;
    const OpProblem& p = operands->problem();
    const int64_t rows = p.rows_of(context.comm->rank()), n = p.data.n;
    if (p.ranks > 1 && rows > 0 && p.kind != OpKind::all_gather) {
      spare.resize(static_cast<size_t>(rows * n) * static_cast<size_t>(p.ranks));
      std::vector<const float*> inputs;
      std::vector<float*> to;
      for (int64_t row = 0; row < p.ranks * rows; ++row) inputs.push_back(spare.data() + row * n);
      for (int64_t row = 0; row < rows; ++row) to.push_back(spare.data() + row * n);
      SumRowsArgs args;
      args.rows = rows, args.n = n, args.ranks = p.ranks;
      args.inputs = inputs.data(), args.y_rows = to.data();
      default_table().reduce.sum_rows(args, context.lane);
    }
    tail();
    return {};
  }
};

}  // namespace

Expected<std::vector<Contender>> own_contenders(const std::shared_ptr<Operands>& operands,
                                                const ChainContext& context) {
  struct Fused {
    std::vector<Plan> plans;
    std::vector<std::byte> workspace;
  };
  const auto fused = std::make_shared<Fused>();
  for (size_t copy = 0; copy < operands->copies(); ++copy) {
    auto planned = operands->plan_of(copy, context.device);
    if (!planned) return fail(planned.error());
    fused->workspace.resize(planned->workspace_bytes());
    fused->plans.push_back(std::move(*planned));
  }
  Lane& lane = context.lane;
  std::vector<Contender> all;
  all.push_back({.name = "fused",
                 .run = [fused, operands, &lane](size_t i) { return fused->plans[i].execute(fused->workspace, lane); },
                 .out = &operands->out(),
                 .same_bits = true,
                 .copies = operands->copies()});
  const bool addends = operands->problem().data.bias != "none" || operands->problem().data.x3 != "none";
  const auto chain = std::make_shared<Unfused>(operands, context);
  const auto add = [&](const char* name, Status (Unfused::*step)(size_t), bool whole) {
    all.push_back({.name = name,
                   .run = [chain, step](size_t i) { return ((*chain).*step)(i); },
                   .out = whole ? &chain->out : nullptr,
                   .same_bits = whole,
                   .copies = operands->copies()});
  };
  if (!addends) add("unfused", &Unfused::run, true);
  add("matmul", &Unfused::product, false);
  add("arithmetic", &Unfused::arithmetic, false);
  return all;
}

}  // namespace tandem::bench::op
