// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/shard.h"

#include <gtest/gtest.h>

#include <tuple>

namespace tandem {
namespace {

ModelConfig config_of(int64_t heads, int64_t kv_heads, int64_t ffn) {
  ModelConfig config;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.dense_ffn = ffn;
  config.expert_ffn = ffn;
  return config;
}

using Shape = std::tuple<int, int, int>;  // heads, kv heads, ranks

class ShardOf : public testing::TestWithParam<Shape> {};

TEST_P(ShardOf, RanksCoverEveryHeadAndColumnOnce) {
  const auto [heads, kv_heads, size] = GetParam();
  const ModelConfig config = config_of(heads, kv_heads, 172);
  int64_t next_head = 0;
  int64_t next_column = 0;
  for (int rank = 0; rank < size; ++rank) {
    const auto shard = make_shard(config, rank, size);
    ASSERT_TRUE(shard);
    EXPECT_EQ(shard->query_heads.first, next_head);
    EXPECT_EQ(shard->dense_ffn.first, next_column);
    next_head = shard->query_heads.end();
    next_column = shard->dense_ffn.end();
  }
  EXPECT_EQ(next_head, heads);
  EXPECT_EQ(next_column, 172);
}

TEST_P(ShardOf, PiecesAreEvenAndReadTheRightHeads) {
  const auto [heads, kv_heads, size] = GetParam();
  const int64_t group = heads / kv_heads;
  for (int rank = 0; rank < size; ++rank) {
    const auto shard = make_shard(config_of(heads, kv_heads, 8), rank, size);
    ASSERT_TRUE(shard);
    int64_t next = shard->query_heads.first;
    for (const HeadPiece& piece : shard->pieces) {
      ASSERT_GT(piece.kv.count, 0);
      ASSERT_EQ(piece.query.count % piece.kv.count, 0);
      const int64_t per_kv = piece.query.count / piece.kv.count;
      for (int64_t head = 0; head < piece.query.count; ++head) {
        EXPECT_EQ(piece.kv.first + head / per_kv, (piece.query.first + head) / group);
      }
      EXPECT_EQ(piece.query.first, next);
      next = piece.query.end();
    }
    EXPECT_EQ(next, shard->query_heads.end());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ShardOf,
                         testing::Values(Shape{8, 4, 1}, Shape{8, 4, 2}, Shape{8, 4, 4}, Shape{8, 4, 8}, Shape{8, 4, 3},
                                         Shape{8, 4, 5}, Shape{8, 4, 7}, Shape{24, 3, 8}, Shape{24, 3, 2},
                                         Shape{12, 4, 6}, Shape{3, 1, 8}, Shape{6, 2, 4}, Shape{1, 1, 8}));

TEST(Shard, EvenSplitWhereRanksDivideTheHeads) {
  for (int rank = 0; rank < 8; ++rank) {
    const auto shard = make_shard(config_of(24, 3, 64), rank, 8);
    EXPECT_EQ(shard->query_heads, (Range{rank * 3, 3}));
    EXPECT_EQ(shard->expert_ffn, (Range{rank * 8, 8}));
  }
}

TEST(Shard, WholeGroupsWhereTheyDoNot) {
  const auto shard = make_shard(config_of(8, 4, 8), 1, 3);
  EXPECT_EQ(shard->kv_heads, (Range{1, 1}));
  EXPECT_EQ(shard->query_heads, (Range{2, 2}));
}

TEST(Shard, ARankMayOwnNothing) {
  const auto shard = make_shard(config_of(1, 1, 4), 0, 8);
  EXPECT_EQ(shard->query_heads.count, 0);
  EXPECT_EQ(shard->kv_heads.count, 0);
  EXPECT_TRUE(shard->pieces.empty());
  EXPECT_EQ(shard->dense_ffn.count, 0);
}

TEST(Shard, RefusesARankOutsideTheGroup) {
  EXPECT_FALSE(make_shard(config_of(8, 4, 8), 2, 2));
  EXPECT_FALSE(make_shard(config_of(8, 4, 8), 0, 0));
}

}  // namespace
}  // namespace tandem
