// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/elementwise.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// The feed-forward block of a mixture of E experts between the ranks of `group`, whole:
//
//   logits = x @ router                       f32 sums; router and x keep their 16 (or 32) bits, nothing is quantised
//   expert, weight = top_k of softmax(logits) largest logits, ties to the lowest id, stored in rising id;
//                                             normalise: a row's weights add up to 1
//   inner  = act(x @ first[expert])           gated: silu(left half) * right half, else `activation`; rounded to x's
//   dtype y      = sum over the row's experts, rising id, of weight * (inner @ second[expert])        one rounding to
//   x's dtype
//
//   x (.., h) f32, f16, bf16; router (h, E) like x; first (h, f) or, gated, (h, 2f); second (f, h); y like x.
//   first and second are like x, or int8 with first_scale (f or 2f) and second_scale (h) each: rows of x and of inner
//   are quantised dynamically (W8A8).
//
// Tensor-parallel: every rank has the same x and its columns of all E first (gated: of both halves) and rows of all E
// second; y is summed over ranks. f may be 0 on some ranks. Expert-parallel: every rank has rows of x of its own (none
// is legal), which it finds in y, and whole experts: those that `owner` gives it, in rising id. Rows travel to their
// experts and back. Either way, at 1, 2, 4 and 8 ranks and wherever experts live, rows have the same bits, the rows of
// all ranks taken in rank order (tensor-parallel where ranks divide f; docs/numerics.md).
//
// Load: tokens[e] counts the rows that chose e on all ranks, imbalance = E * max(tokens) / sum(tokens) (1: even; 1
// without rows). capacity C > 0 keeps the first C rows of an expert in the order of rows and drops others: they add
// nothing, in `expert` they are -1 and in `weight` 0, and `dropped` counts them; with `pad` every expert computes
// exactly C rows, zeros where it has fewer, which changes no bit.
//
// Errors: null_argument, invalid_argument at plan(); mismatch (any of E, top_k, capacity, form, owner, ... differs
// between ranks), peer_lost, timed_out, out_of_memory at run.
struct MoeFfn {
  TensorView x, router;
  std::vector<TensorView> first, second, first_scale, second_scale;
  TensorView y;
  TensorView tokens;          // [E] i64; with those below optional
  TensorView imbalance;       // [1] f32
  TensorView dropped;         // [1] i64
  TensorView expert, weight;  // (.., top_k) i32 and f32
  int64_t top_k = 0, capacity = 0;
  bool normalise = true, gated = true, pad = false, expert_parallel = false;
  Unary activation = Unary::silu;  // silu or gelu, without `gated`
  std::vector<int32_t> owner;      // [E] the rank of each expert; empty: rank r has [r * E / R, (r + 1) * E / R)
  std::string_view group;          // name of the communicator
};

template <>
const OperatorTable<MoeFfn>& table_of<MoeFfn>();

Expected<Plan> plan(const MoeFfn& op, Device& device);

// An `owner` that evens out measured load: experts in falling load (ties: rising id) each go to the rank with the least
// load so far (ties: fewest experts, then lowest rank) that has room for one more of ceil(E / ranks).
std::vector<int32_t> place_experts(std::span<const int64_t> load, int ranks);

}  // namespace tandem
#pragma GCC visibility pop
