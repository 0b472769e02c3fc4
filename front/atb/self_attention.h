// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "atb/infer_op_params.h"
#include "front/atb/operation.h"
#include "tandem/ops/attention.h"

// What the forms of SelfAttention share.
namespace tandem::atbfront {

using atb::infer::SelfAttentionParam;

int64_t kv_heads(const SelfAttentionParam& param);
// Columns of a head, from [tokens, heads, D] or [tokens, heads * D]; 0 where they do not fit.
int64_t width_of(const atb::TensorDesc& desc, int64_t heads);
FusedInferAttention attention_of(const SelfAttentionParam& param);

// ENCODER: whole prompts whose keys and values go into a cache of the program's own, one layer (1, batch, most, hidden)
// or FRACTAL_NZ (1, batch, hidden / 16, most, 16).
Arity arity_cached(const SelfAttentionParam& param);
Outcome<Descs> infer_cached(const SelfAttentionParam& param, const Descs& in);
Outcome<> build_cached(const SelfAttentionParam& param, Run& run);

}  // namespace tandem::atbfront
