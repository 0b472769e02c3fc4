// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/rows.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kColumns = 512;  // columns of one task

void combine_columns(const CombineArgs& args, int64_t row, int64_t first, int64_t last) {
  const float* const* inputs = args.inputs + row * args.terms;
  const float* weights = args.weights + row * args.terms;
  for (int64_t c = first; c < last; c += kLanes) {
    TreeSum tree;
    for (int leaf = 0; leaf < args.leaves; ++leaf) {
      Vec sum = set(0.0f);
      for (int term = 0; term < args.terms; ++term) {
        sum = fma(set(weights[term]), load_up_to<F32>(inputs[term], leaf * args.n + c, last - c), sum);
      }
      tree.push(sum);
    }
    store_up_to<F32>(args.y_rows[row], c, tree.finish(), last - c);
  }
}

}  // namespace

void combine(const CombineArgs& args, Lane& lane) {
  const int64_t pieces = (args.n + kColumns - 1) / kColumns;
  lane.team->parallel_for(args.m * pieces, grain_of(min64(args.n, kColumns) * args.terms * args.leaves), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % pieces * kColumns;
      combine_columns(args, task / pieces, first, min64(args.n, first + kColumns));
    }
  });
}

}  // namespace tandem::TANDEM_ISA
