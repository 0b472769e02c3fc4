// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/planner.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tandem/kernels/gemm.h"

namespace tandem {
namespace {

class Forced {
 public:
  explicit Forced(const char* how) { ::setenv("TANDEM_OVERLAP", how, 1); }
  ~Forced() { ::unsetenv("TANDEM_OVERLAP"); }
  Forced(const Forced&) = delete;
  Forced& operator=(const Forced&) = delete;
};

TEST(Planner, ChoosesAlikeWhateverTheOverlap) {
  const ChunkFacts facts{.rows = 512,
                         .n = 4096,
                         .ranks = 4,
                         .several_hosts = false,
                         .hides = true,
                         .result_row_bytes = 4 * 4096,
                         .window_bytes = 8 << 20};
  const auto chunks = plan_chunks(facts);
  ASSERT_TRUE(chunks.has_value());
  EXPECT_GE(chunks->count(), 5);
  EXPECT_EQ(choose_overlap(*chunks, 4).overlap, Overlap::on);
  {
    const Forced forced("off");
    const auto again = plan_chunks(facts);
    EXPECT_EQ(again->chunk_rows, chunks->chunk_rows);
    EXPECT_EQ(choose_overlap(*again, 4).overlap, Overlap::off);
  }
  ChunkFacts decode = facts;
  decode.rows = 1;
  const auto one = plan_chunks(decode);
  EXPECT_TRUE(one->one_shot);
  const Forced forced("on");
  EXPECT_EQ(choose_overlap(*one, 4).overlap, Overlap::off);  // there is nothing to hide behind
}

TEST(Planner, StripsCoverEveryColumnOnce) {
  for (const int64_t n : {1, 63, 64, 255, 512, 1160, 4096, 12345}) {
    const ColumnStrips strips = column_strips(n);
    EXPECT_EQ(strips.columns % kPanel, 0) << n;
    EXPECT_GE(strips.count * strips.columns, n);
    EXPECT_LT((strips.count - 1) * strips.columns, n);
  }
}

}  // namespace
}  // namespace tandem
