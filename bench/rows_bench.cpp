// SPDX-License-Identifier: Apache-2.0
#include "bench/session.h"
namespace tandem::bench {
void bench_rows(Session&, bool) {}
void bench_attention(Session&, bool) {}
}  // namespace tandem::bench
