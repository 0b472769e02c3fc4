// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>
#include <numeric>

#include "tandem/kernels/test_data.h"

#define TANDEM_ISA portable
#define TANDEM_ISA_IS_portable 1
#include "tandem/kernels/cpu/vec.h"

namespace tandem::testing {
namespace {

struct Setup {
  int64_t rows, query_heads, kv_heads, dim, block_size, blocks;
  Array query, key, value;
  std::vector<int32_t> table;
  std::vector<const int32_t*> tables;
  std::vector<int64_t> lengths;
  PagedAttentionArgs args;
  std::vector<std::vector<int32_t>> copies;  // of the table where rows are sequences of their own
  std::vector<float> scale, shift;           // of int8 caches

  float cached(const Array& cache, int64_t which, int64_t element) const {
    const float x = cache.get(element);
    if (cache.dtype != DType::i8) return x;
    const auto column = static_cast<size_t>(which * kv_heads * dim + element % (kv_heads * dim));
    return (x + shift[column]) * scale[column];
  }
};

// int8 caches, and rows that share no table.
void set_forms(const Case& c, Setup& s) {
  if (c.value("apart", false)) {
    s.copies.assign(static_cast<size_t>(s.rows), s.table);
    for (size_t r = 0; r < s.copies.size(); ++r) s.tables[r] = s.copies[r].data();
  }
  s.args.cache_dtype = s.key.dtype;
  if (s.key.dtype != DType::i8) return;
  Random random{77};
  for (int64_t i = 0; i < 2 * s.kv_heads * s.dim; ++i) {
    s.scale.push_back(0.01f + 0.001f * static_cast<float>(random.next() % 16));
    s.shift.push_back(static_cast<float>(random.next() % 9) - 4.5f);
  }
  s.args.cache_scale = s.scale.data(), s.args.cache_shift = s.shift.data();
}

std::unique_ptr<Setup> make(const Case& c) {
  const int64_t rows = c.value("rows", 3), heads = c.at("query_heads"), kv = c.at("kv_heads"), dim = c.at("dim");
  const int64_t block = c.at("block_size"), longest = c.at("length"), blocks = (longest + block - 1) / block + 2;
  const DType type = dtype_of(c, "dtype", "f16"), cache = c.contains("cache") ? dtype_of(c, "cache", "i8") : type;
  auto s = std::make_unique<Setup>(Setup{rows, heads, kv, dim, block, blocks, Array(type, rows * heads * dim),
                                         Array(cache, blocks * block * kv * dim), Array(cache, blocks * block * kv * dim), {}, {}, {}, {}, {}, {}, {}});
  Random random{c.value("seed", uint64_t{1})};
  fill(s->query, random, c.value("data", "normal"));
  fill(s->key, random, c.value("data", "normal"));
  fill(s->value, random, c.value("data", "normal"));
  for (int64_t i = 0; i < s->query.count; ++i) s->query.set(i, s->query.get(i) * c.value("peak", 1.0f));
  for (int64_t i = 0; i < blocks; ++i) s->table.push_back(static_cast<int32_t>((i * 7 + 1) % blocks));
  if (blocks % 7 == 0) std::iota(s->table.begin(), s->table.end(), 0);
  for (int64_t r = 0; r < rows; ++r) {
    s->lengths.push_back(std::max<int64_t>(longest - r, 0));
    s->tables.push_back(s->table.data());
  }
  const int64_t bytes = s->query.row_bytes(heads * dim);
  s->args = {rows, heads, kv, dim, s->query.data(), bytes, nullptr, bytes, type, s->key.data(), s->value.data(), block,
             s->tables.data(), s->lengths.data(), 1.0f / std::sqrt(static_cast<float>(dim))};
  set_forms(c, *s);
  return s;
}

struct Part {
  float top, sum;
  std::vector<float> a;
};

Part model_chunk(const Setup& s, int64_t row, int64_t head, int64_t first, int64_t last) {
  const int64_t kv = head / (s.query_heads / s.kv_heads);
  const auto element = [&](int64_t t) {
    return ((s.table[static_cast<size_t>(t / s.block_size)] * s.block_size + t % s.block_size) * s.kv_heads + kv) * s.dim;
  };
  std::vector<float> scores;
  for (int64_t t = first; t < last; ++t) {
    float lanes[16] = {};
    for (int64_t d = 0; d < s.dim; ++d) {
      lanes[d % 16] = std::fma(s.query.get((row * s.query_heads + head) * s.dim + d), s.cached(s.key, 0, element(t) + d), lanes[d % 16]);
    }
    scores.push_back(tree(lanes, 16) * s.args.scale);
  }
  Part part{scores[0], 0, std::vector<float>(static_cast<size_t>(s.dim), 0.0f)};
  for (const float v : scores) part.top = std::isnan(v) || v > part.top ? v : part.top;
  for (int64_t t = first; t < last; ++t) {
    const float p = portable::exp_one(scores[static_cast<size_t>(t - first)] - part.top);
    part.sum += p;
    for (int64_t d = 0; d < s.dim; ++d) part.a[static_cast<size_t>(d)] = std::fma(p, s.cached(s.value, 1, element(t) + d), part.a[static_cast<size_t>(d)]);
  }
  return part;
}

Part model_merge(const Part& a, const Part& b) {
  Part out{std::isnan(a.top) || std::isnan(b.top) ? NAN : std::max(a.top, b.top), 0, {}};
  const float ea = portable::exp_one(a.top - out.top), eb = portable::exp_one(b.top - out.top);
  out.sum = std::fma(a.sum, ea, b.sum * eb);
  for (size_t d = 0; d < a.a.size(); ++d) out.a.push_back(std::fma(a.a[d], ea, b.a[d] * eb));
  return out;
}

Part model_tree(const Setup& s, int64_t row, int64_t head, int64_t first, int64_t chunks) {
  const int64_t length = s.lengths[static_cast<size_t>(row)];
  if (chunks == 1) return model_chunk(s, row, head, first * 256, std::min(length, first * 256 + 256));
  int64_t half = 1;
  while (half * 2 < chunks) half *= 2;
  return model_merge(model_tree(s, row, head, first, half), model_tree(s, row, head, first + half, chunks - half));
}

Array model(const Setup& s) {
  Array y(s.query.dtype, s.query.count);
  for (int64_t i = 0; i < s.rows * s.query_heads; ++i) {
    const int64_t length = s.lengths[static_cast<size_t>(i / s.query_heads)];
    if (length == 0) continue;
    const Part all = model_tree(s, i / s.query_heads, i % s.query_heads, 0, (length + 255) / 256);
    for (int64_t d = 0; d < s.dim; ++d) y.set(i * s.dim + d, canonical(all.a[static_cast<size_t>(d)] / all.sum));
  }
  return y;
}

Array run(const KernelTable& table, const Setup& s, int threads) {
  Array y(s.query.dtype, s.query.count);
  PagedAttentionArgs args = s.args;
  args.y = y.data();
  table.attention.paged(args, lane_of(threads));
  return y;
}

TEST(Attention, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_attention.json")) {
    const auto s = make(c);
    const Array expected = model(*s);
    for (const KernelTable* table : exact_tables()) {
      for (const int threads : {1, 3}) ASSERT_EQ(expected.bytes, run(*table, *s, threads).bytes) << table->name << c.dump();
    }
    ++count;
    if (c.value("data", "normal") == "special") continue;
    const Array oracle = run(*find_table("reference"), *s, 1);
    const double u = unit_roundoff(oracle.dtype), v = 0x1p-24, largest = s->key.dtype == DType::i8 ? 3.5 : 1;
    const double delta = static_cast<double>(s->dim) * v * largest * static_cast<double>(s->args.scale) * static_cast<double>(s->dim) * c.value("peak", 1.0);
    const double bound = 2 * u + static_cast<double>(s->dim + s->lengths[0]) * v * 8 + std::expm1(2 * delta);
    for (int64_t i = 0; i < oracle.count; ++i) ASSERT_NEAR(oracle.get(i), expected.get(i), 1.05 * bound * largest) << c.dump();
  }
  std::cout << "attention: " << count << " cases\n";
  EXPECT_GT(count, 20);
}

// A position has the same bits whichever other rows run with it and however the cache is cut into blocks.
TEST(Attention, BitsIgnoreBatchAndBlocks) {
  const Case c{{"query_heads", 4}, {"kv_heads", 2}, {"dim", 32}, {"block_size", 16}, {"length", 700}, {"rows", 4}};
  const auto s = make(c);
  const Array whole = run(*exact_tables().front(), *s, 3);
  PagedAttentionArgs args = s->args;
  Array key(s->key.dtype, s->key.count), value(s->key.dtype, s->key.count), y(s->key.dtype, s->query.count / 4);
  const int64_t width = 2 * 32;
  for (int64_t t = 0; t < 700; ++t) {
    for (int64_t i = 0; i < width; ++i) {
      const int64_t from = (s->table[static_cast<size_t>(t / 16)] * 16 + t % 16) * width + i;
      key.set(t * width + i, s->key.get(from)), value.set(t * width + i, s->value.get(from));
    }
  }
  const int32_t single = 0;
  const int32_t* table = &single;
  args.rows = 1, args.block_size = 720, args.block_tables = &table, args.key_cache = key.data(), args.value_cache = value.data();
  args.y = y.data();
  exact_tables().front()->attention.paged(args, lane_of(1));
  EXPECT_EQ(0, std::memcmp(y.data(), whole.data(), y.bytes.size()));
}

}  // namespace
}  // namespace tandem::testing
