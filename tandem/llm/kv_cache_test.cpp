// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <utility>

namespace tandem {
namespace {

KvCache::Shape shape_of(std::vector<int64_t> kv_heads, int64_t blocks) {
  return {.layers = 3, .kv_heads = std::move(kv_heads), .head_dim = 8, .dtype = DType::bf16, .blocks = blocks};
}

TEST(KvCache, BlocksAreHandedOutOnceAndComeBack) {
  auto cache = KvCache::create(shape_of({2}, 10));
  ASSERT_TRUE(cache);
  std::vector<int32_t> one, two;
  ASSERT_TRUE(cache->reserve(one, 17));
  ASSERT_TRUE(cache->reserve(two, 16 * 6));
  EXPECT_EQ(one.size(), 2u);
  EXPECT_EQ(two.size(), 6u);
  std::set<int32_t> all(one.begin(), one.end());
  all.insert(two.begin(), two.end());
  EXPECT_EQ(all.size(), 8u);
  EXPECT_GE(*all.begin(), 0);
  EXPECT_LT(*all.rbegin(), 10);
  cache->release(two);
  EXPECT_EQ(cache->free_blocks(), 8);
  EXPECT_TRUE(two.empty());
}

TEST(KvCache, AFullPoolLeavesTheTableAsItWas) {
  auto cache = KvCache::create(shape_of({1}, 2));
  ASSERT_TRUE(cache);
  std::vector<int32_t> table;
  ASSERT_TRUE(cache->reserve(table, 20));
  const auto before = table;
  const auto status = cache->reserve(table, 33);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::out_of_memory);
  EXPECT_EQ(table, before);
}

TEST(KvCache, PartsDoNotOverlap) {
  auto cache = KvCache::create(shape_of({2, 1}, 3));
  ASSERT_TRUE(cache);
  unsigned char mark = 1;
  std::vector<std::pair<unsigned char*, size_t>> parts;
  for (int64_t layer = 0; layer < 3; ++layer) {
    for (size_t piece = 0; piece < 2; ++piece) {
      const size_t bytes = static_cast<size_t>(3 * KvCache::kBlock * (piece == 0 ? 2 : 1) * 8 * 2);
      parts.push_back({static_cast<unsigned char*>(cache->key(layer, piece)), bytes});
      parts.push_back({static_cast<unsigned char*>(cache->value(layer, piece)), bytes});
    }
  }
  for (const auto& [data, bytes] : parts) std::memset(data, mark++, bytes);
  mark = 1;
  for (const auto& [data, bytes] : parts) {
    EXPECT_EQ(data[0], mark);
    EXPECT_EQ(data[bytes - 1], mark++);
  }
}

TEST(KvCache, ARankWithoutHeadsHoldsNothing) {
  auto cache = KvCache::create(shape_of({}, 4));
  ASSERT_TRUE(cache);
  EXPECT_EQ(cache->bytes(), 0u);
}

TEST(KvCache, RefusesSizesThatOverflow) {
  EXPECT_FALSE(KvCache::create(shape_of({int64_t{1} << 20}, int64_t{1} << 50)));
}

}  // namespace
}  // namespace tandem
