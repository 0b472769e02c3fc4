// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/rows.h"

namespace tandem::TANDEM_ISA {
namespace {

template <class T>
void rotate_head(void* x, int64_t first, int64_t half, const float* cosine, const float* sine) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t count = half - i;
    const Vec low = load_up_to<T>(x, first + i, count);
    const Vec high = load_up_to<T>(x, first + half + i, count);
    const Vec c = load_up_to<F32>(cosine, i, count);
    const Vec s = load_up_to<F32>(sine, i, count);
    store_up_to<T>(x, first + i, fma(low, c, neg(mul(high, s))), count);
    store_up_to<T>(x, first + half + i, fma(high, c, mul(low, s)), count);
  }
}

}  // namespace

void rope(const RopeArgs& args, Lane& lane) {
  const int64_t half = args.head_dim / 2;
  lane.team->parallel_for(args.rows, grain_of(args.heads * args.head_dim), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t table = args.positions[row] * half;
      with_float(args.dtype, [&]<class T>(T) {
        for (int64_t head = 0; head < args.heads; ++head) {
          rotate_head<T>(at(args.x, row * args.row_bytes), head * args.head_dim, half, args.cos + table,
                         args.sin + table);
        }
      });
    }
  });
}

}  // namespace tandem::TANDEM_ISA
