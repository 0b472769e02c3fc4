// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// p = softmax(x) over experts; the top_k largest of each row, falling, ties to the lowest id: y their p (with
// `normalise` divided by their sum), expert their ids, row[i][j] = i + j * rows. Rows that are `finished` get the id E
// everywhere.
struct MoeGating {
  TensorView x, finished, y, expert, row;
  TensorView softmax;  // optional: p of every expert
  int64_t top_k = 0;
  bool normalise = false;
};

// Sorts the (n, k) expert ids stably: expanded_x[p] = the x row of the p-th slot (for the first `active` rows' worth of
// slots), place[slot] = p, sorted_expert the ids in order. With `capacity` C, expanded_x is (E, C, h): the first C
// slots of each expert stand in its part, zeros behind them, place = expert * C + position, and -1 for slots beyond. A
// slot's number is row[i][j] (its x row: number % n), or i * k + j without `row`; places are stored under the same
// number. tokens: rising counts of each expert. With `last_expert` only ids in [first_expert, last_expert) count: slots
// of others sort behind and get place -1, and tokens are those of first_expert and on. order: the slots' numbers
// sorted.
struct MoeInitRouting {
  TensorView x, row, expert, expanded_x, place, sorted_expert, tokens;
  TensorView order;     // optional
  int64_t active = 0;   // rows of x whose slots are copied; 0: all
  bool counts = false;  // tokens: of each expert alone
  int64_t capacity = 0;
  int64_t first_expert = 0, last_expert = 0;  // last_expert 0: all
};

// y[i] = skip1[i] + skip2[i] + sum over j of scales[i][j] * (expanded[place] + bias[expert[i][j]]), f32, rising j, one
// rounding; place = place[j * n + i], or [i * k + j] with `row_major`; -1 adds the bias alone.
struct MoeFinalizeRouting {
  TensorView expanded, place, skip1, skip2, bias, scales, expert, y;
  bool row_major = false;
};

// tokens[e] = how many of the rising ids are at most e.
struct MoeExpertTokens {
  TensorView sorted_expert, tokens;
};

template <>
const OperatorTable<MoeGating>& table_of<MoeGating>();
template <>
const OperatorTable<MoeExpertTokens>& table_of<MoeExpertTokens>();
template <>
const OperatorTable<MoeInitRouting>& table_of<MoeInitRouting>();
template <>
const OperatorTable<MoeFinalizeRouting>& table_of<MoeFinalizeRouting>();

// Errors of all: null_argument, invalid_argument here; out_of_memory, and invalid_argument for ids, at run.
Expected<Plan> plan(const MoeGating& op, Device& device);
Expected<Plan> plan(const MoeInitRouting& op, Device& device);
Expected<Plan> plan(const MoeExpertTokens& op, Device& device);
Expected<Plan> plan(const MoeFinalizeRouting& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
