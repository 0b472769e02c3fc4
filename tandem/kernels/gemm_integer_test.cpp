// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "tandem/kernels/pack.h"
#include "tandem/kernels/test_data.h"

// Products whose sums are exact integers, against a plain model bit for bit and against double precision.
namespace tandem::testing {
namespace {

struct Problem {
  int64_t m, n, k;
  std::string form;
  bool turned = false;
  Array x, w, packed, scale, offset, token;
  std::vector<const void*> x_rows;
  GemmArgs args;
};

// "extreme": the ends of the range alone, so that sums of neighbours are as large as they can be.
void fill_operand(Array& array, Random& random, const std::string& kind) {
  if (kind != "extreme") return fill(array, random, kind);
  for (int64_t i = 0; i < array.count; ++i) {
    const bool low = random.below(4) != 0;
    const float end = array.dtype == DType::i8 ? (low ? -128.0f : 127.0f) : array.dtype == DType::i4 ? (low ? -8.0f : 7.0f) : 0;
    array.set(i, end != 0 ? end : low ? -1.9999999f : 1.9999999f);
  }
}

void set_scales(Problem& p, const Case& c, Random& random) {
  const int64_t groups = p.args.group > 0 ? (p.k + p.args.group - 1) / p.args.group : 1;
  const bool one = c.value("one_scale", false);
  p.scale = Array(dtype_of(c, "scale", "f16"), std::max<int64_t>(groups, 1) * p.n);
  p.offset = Array(p.scale.dtype, p.scale.count);
  for (int64_t i = 0; i < p.scale.count; ++i) {
    p.scale.set(i, 0.001f + 0.01f * random.unit());
    p.offset.set(i, 8 * random.unit());
  }
  const ScaleView view{p.scale.data(), p.scale.dtype, groups > 1 ? p.n : 0, one && groups == 1 ? 0 : 1};
  if (p.form == "dequant") p.args.dequant = view;
  if (p.form == "scale" || p.form == "fast") p.args.scale = view;
  if (c.value("offset", false)) {
    p.args.offset = view;
    p.args.offset.data = p.offset.data();
  }
  p.token = Array(DType::f32, p.m);
  for (int64_t i = 0; i < p.m; ++i) p.token.set(i, random.unit());
  if (c.value("token", false)) p.args.token = reinterpret_cast<const float*>(p.token.data());
}

std::unique_ptr<Problem> make_problem(const Case& c) {
  const int64_t m = c.at("m"), n = c.at("n"), k = c.at("k");
  const DType w = dtype_of(c, "w", "i8");
  const Array none(DType::f32, 0);
  Random random{c.value("seed", uint64_t{1})};
  const auto packed = static_cast<int64_t>(packed_bytes(w, k, n)) * 8 / dtype_bits(w);
  auto p = std::make_unique<Problem>(Problem{m, n, k, c.at("form"), false, Array(dtype_of(c, "x", "i8"), m * k), Array(w, k * n),
                                             Array(w, packed), none, none, none, {}, {}});
  fill_operand(p->x, random, c.value("data", "normal"));
  fill_operand(p->w, random, c.value("data", "normal"));
  GemmArgs& a = p->args;
  a.m = m, a.n = n, a.k = k;
  a.leaves = p->form == "raw" ? 1 : c.value("leaves", 8);
  a.x = p->x.data();
  a.x_row_bytes = p->x.row_bytes(k);
  a.x_dtype = p->x.dtype;
  a.y_dtype = p->form == "raw" ? DType::i32 : dtype_of(c, "y", "f32");
  a.split_leaves = c.value("split", false);
  if (a.split_leaves) a.y_dtype = DType::f32;
  a.group = p->form == "dequant" || p->form == "raw" ? 0 : c.value("group", int64_t{0});
  a.math = p->form == "fast" ? Math::fast : Math::exact;
  const std::string layout = c.value("layout", "row");
  p->turned = layout == "transposed";
  a.w = p->turned ? Weight{p->w.data(), w, 1, k, 0} : Weight{p->w.data(), w, n, 1, 0};
  if (layout == "packed") a.w = pack_weight(a.w, k, n, p->packed.data());
  set_scales(*p, c, random);
  for (int64_t r = 0; c.value("pointers", false) && r < m; ++r) {
    p->x_rows.push_back(static_cast<const uint8_t*>(p->x.data()) + r * a.x_row_bytes);
    a.x_rows = p->x_rows.data();
  }
  return p;
}

int64_t row_width(const GemmArgs& args) { return args.split_leaves ? args.leaves * args.n : args.n; }

Array run(const KernelTable& table, const GemmArgs& from, int threads) {
  GemmArgs args = from;
  Array y(args.y_dtype, args.m * row_width(args));
  args.y = y.data();
  args.y_row_bytes = y.row_bytes(row_width(args));
  table.gemm.run(args, lane_of(threads));
  return y;
}

// The pieces of one leaf that have a sum of their own.
std::vector<std::pair<int64_t, int64_t>> runs_of(const Problem& p, int64_t leaf) {
  const int64_t last = (leaf + 1) * p.k / p.args.leaves;
  std::vector<std::pair<int64_t, int64_t>> runs;
  for (int64_t first = leaf * p.k / p.args.leaves; first < last;) {
    int64_t end = p.args.group > 0 ? std::min(last, (first / p.args.group + 1) * p.args.group) : last;
    if (p.form == "fast") end = std::min(end, first + 256);
    runs.emplace_back(first, end);
    first = end;
  }
  return runs;
}

float weight(const Problem& p, int64_t kk, int64_t c) { return p.w.get(p.turned ? c * p.k + kk : kk * p.n + c); }
float scale_of(const Problem& p, const Array& array, int64_t kk, int64_t c) {
  const ScaleView& view = p.form == "dequant" ? p.args.dequant : p.args.scale;
  return array.get((p.args.group > 0 ? kk / p.args.group : 0) * view.stride_group + c * view.stride_n);
}

float largest(const Problem& p, int64_t m, int64_t first, int64_t last) {
  float most = 0;
  for (int64_t kk = first; kk < last; ++kk) {
    const float x = std::fabs(p.x.get(m * p.k + kk));
    if (std::isnan(x) || std::isinf(x)) return NAN;
    most = std::max(most, x);
  }
  return most;
}
float unit_of(float most) { return std::isnan(most) ? NAN : std::ldexp(1.0f, std::max(most > 0 ? std::ilogb(most) : -100, -100) - 14); }

// What the integers of a run are: activations as they are, or rounded to 16 bits.
int64_t integer(const Problem& p, int64_t m, int64_t kk, float unit) {
  const float x = p.x.get(m * p.k + kk);
  if (p.form != "fast") return static_cast<int64_t>(x);
  if (std::isnan(unit)) return 0;
  return static_cast<int64_t>(std::clamp(std::nearbyint(static_cast<double>(x) / static_cast<double>(unit)), -32768.0, 32767.0));
}

float model_leaf(const Problem& p, int64_t m, int64_t c, int64_t leaf) {
  float value = 0;
  const auto runs = runs_of(p, leaf);
  for (const auto& [first, last] : runs) {
    const float unit = p.form == "fast" ? unit_of(largest(p, m, first, last)) : 1.0f;
    int64_t sum = 0, x_sum = 0;
    for (int64_t kk = first; kk < last; ++kk) {
      const int64_t x = integer(p, m, kk, unit);
      sum += x * static_cast<int64_t>(weight(p, kk, c));
      x_sum += x;
    }
    float v = static_cast<float>(static_cast<int32_t>(sum));
    const float scale = scale_of(p, p.scale, first, c);
    if (p.args.offset.data != nullptr) v = std::fma(scale_of(p, p.offset, first, c), static_cast<float>(x_sum), v);
    value = p.form == "dequant" ? v * scale : std::fma(v * unit, scale, value);
  }
  return p.args.token != nullptr && !runs.empty() ? value * p.args.token[m] : value;
}

Array model(const Problem& p) {
  Array y(p.args.y_dtype, p.m * row_width(p.args));
  for (int64_t m = 0; m < p.m; ++m) {
    for (int64_t c = 0; c < p.n; ++c) {
      if (p.form == "raw") {
        int64_t sum = 0;
        for (int64_t kk = 0; kk < p.k; ++kk) sum += integer(p, m, kk, 1) * static_cast<int64_t>(weight(p, kk, c));
        reinterpret_cast<int32_t*>(y.bytes.data())[m * p.n + c] = static_cast<int32_t>(sum);
        continue;
      }
      std::vector<float> leaves;
      for (int64_t j = 0; j < p.args.leaves; ++j) {
        leaves.push_back(model_leaf(p, m, c, j));
        if (p.args.split_leaves) y.set(m * row_width(p.args) + j * p.n + c, canonical(leaves.back()));
      }
      if (!p.args.split_leaves) y.set(m * p.n + c, canonical(tree(leaves.data(), leaves.size())));
    }
  }
  return y;
}

// What rounding may cost element (m, c): half a unit of each block's largest activation (docs/numerics.md), and f32.
double error_bound(const Problem& p, int64_t m, int64_t c, int64_t first_leaf, int64_t last_leaf) {
  double rounding = 0, size = 0, steps = 8;
  for (int64_t leaf = first_leaf; leaf < last_leaf; ++leaf) {
    for (const auto& [first, last] : runs_of(p, leaf)) {
      const double most = static_cast<double>(largest(p, m, first, last));
      const double scale = std::fabs(static_cast<double>(scale_of(p, p.scale, first, c)));
      const double token = p.args.token != nullptr ? std::fabs(static_cast<double>(p.args.token[m])) : 1.0;
      double offset = 0;
      if (p.args.offset.data != nullptr) offset = static_cast<double>(scale_of(p, p.offset, first, c));
      for (int64_t kk = first; kk < last; ++kk) {
        const double w = static_cast<double>(weight(p, kk, c)), x = std::fabs(static_cast<double>(p.x.get(m * p.k + kk)));
        if (p.form == "fast") rounding += std::max(most * 0x1p-15, 0x1p-115) * std::fabs(w + offset) * scale;
        size += x * (std::fabs(w) + std::fabs(offset)) * scale * token;
      }
      ++steps;
    }
  }
  return rounding + 1.001 * steps * 0x1p-24 * size;
}

void expect_near(const Problem& p, const Array& y, const std::string& name) {
  const Array oracle = run(*find_table("reference"), p.args, 1);
  for (int64_t i = 0; i < oracle.count; ++i) {
    const int64_t m = i / row_width(p.args), leaf = i % row_width(p.args) / p.n;
    const int64_t last = p.args.split_leaves ? leaf + 1 : p.args.leaves;
    const double exact = static_cast<double>(oracle.get(i));
    if (std::isinf(exact) && y.get(i) == oracle.get(i)) continue;  // beyond f16
    const double bound = error_bound(p, m, i % p.n, p.args.split_leaves ? leaf : 0, last);
    const double stored = 2 * unit_roundoff(y.dtype) * (std::fabs(exact) + bound) + least_spacing(y.dtype);
    ASSERT_NEAR(static_cast<double>(y.get(i)), exact, 1.05 * (bound + stored)) << name << " element " << i;
  }
}

void expect_row_alone(const Problem& p, const KernelTable& table, const Array& whole, const std::string& name) {
  GemmArgs args = p.args;
  const int64_t row = args.m - 1;
  args.m = 1;
  if (args.x_rows != nullptr) args.x_rows += row;
  args.x = static_cast<const uint8_t*>(args.x) + row * args.x_row_bytes;
  if (args.token != nullptr) args.token += row;
  const Array alone = run(table, args, 1);
  const size_t bytes = alone.bytes.size();
  ASSERT_EQ(0, std::memcmp(alone.bytes.data(), whole.bytes.data() + static_cast<size_t>(row) * bytes, bytes)) << name;
}

TEST(IntegerGemm, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_integer.json")) {
    const auto p = make_problem(c);
    const Array expected = model(*p);
    for (const KernelTable* table : exact_tables()) {
      const std::string name = std::string(table->name) + " " + c.dump();
      for (const int threads : {1, 3}) {
        if (threads > 1 && count % 3 != 0) continue;
        ASSERT_EQ(expected.bytes, run(*table, p->args, threads).bytes) << name << " threads " << threads;
      }
      if (p->m > 1) expect_row_alone(*p, *table, expected, name);
    }
    if (p->form == "raw") {
      ASSERT_EQ(expected.bytes, run(*find_table("reference"), p->args, 1).bytes) << c.dump();
    } else if (c.value("data", "normal") != "special") {
      expect_near(*p, expected, c.dump());
    }
    ++count;
  }
  std::cout << "integer gemm: " << count << " cases on " << exact_tables().size() << " tables\n";
  EXPECT_GT(count, 900);
}

// Sums that leave 32 bits wrap.
TEST(IntegerGemm, RawSumsWrap) {
  const auto p = make_problem(Case{{"m", 2}, {"n", 3}, {"k", 140000}, {"form", "raw"}, {"w", "i8"}});
  std::fill(p->x.bytes.begin(), p->x.bytes.end(), uint8_t{0x80});
  std::fill(p->w.bytes.begin(), p->w.bytes.end(), uint8_t{0x80});
  for (const KernelTable* table : kernel_tables()) {
    const Array y = run(*table, p->args, 1);
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(static_cast<int32_t>(int64_t{140000} * 16384), reinterpret_cast<const int32_t*>(y.bytes.data())[i]) << table->name;
    }
  }
}

// More rows than one pass over the weights serves.
TEST(IntegerGemm, ManyRowsEqualFewRows) {
  for (const char* form : {"dequant", "fast"}) {
    const bool fast = form == std::string("fast");
    const auto p = make_problem(Case{{"m", 403}, {"n", 80}, {"k", 65}, {"x", fast ? "f16" : "i8"}, {"w", "i8"}, {"form", form}});
    const Array expected = model(*p);
    for (const KernelTable* table : exact_tables()) EXPECT_EQ(expected.bytes, run(*table, p->args, 3).bytes) << table->name;
  }
}

// Two, four and eight ranks with their slices of k give the bits of one.
TEST(FastGemm, RanksEqualOne) {
  for (const int64_t group : {0, 64}) {
    const auto p = make_problem(Case{{"m", 3}, {"n", 70}, {"k", 4096}, {"x", "f16"}, {"w", "i4"}, {"form", "fast"},
                                     {"group", group}, {"offset", true}});
    const Array whole = run(*exact_tables().front(), p->args, 1);
    for (const int64_t ranks : {2, 4, 8}) {
      std::vector<Array> partial;
      for (int64_t r = 0; r < ranks; ++r) {
        GemmArgs args = p->args;
        args.k = p->k / ranks;
        args.leaves = static_cast<int>(8 / ranks);
        args.x = static_cast<const uint8_t*>(args.x) + r * args.k * 2;
        args.w.data = static_cast<const uint8_t*>(args.w.data) + r * args.k * p->n / 2;
        const int64_t scales = group > 0 ? r * args.k / group * p->n * 2 : 0;
        args.scale.data = static_cast<const uint8_t*>(args.scale.data) + scales;
        args.offset.data = static_cast<const uint8_t*>(args.offset.data) + scales;
        partial.push_back(run(*exact_tables().back(), args, 1));
      }
      for (int64_t i = 0; i < whole.count; ++i) {
        std::vector<float> v;
        for (const Array& part : partial) v.push_back(part.get(i));
        ASSERT_EQ(float_bits(whole.get(i)), float_bits(tree(v.data(), v.size()))) << ranks << " ranks, element " << i;
      }
    }
  }
}

// A block with NaN or infinity makes its row NaN, in every column and in no other row.
TEST(FastGemm, BadActivationsStayInTheirRow) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const auto p = make_problem(Case{{"m", 3}, {"n", 66}, {"k", 600}, {"x", "f32"}, {"w", "i8"}, {"form", "fast"}, {"layout", "packed"}});
    p->x.set(600 + 599, bad);
    for (const KernelTable* table : exact_tables()) {
      const Array y = run(*table, p->args, 1);
      for (int64_t i = 0; i < y.count; ++i) EXPECT_EQ(i / 66 == 1, std::isnan(y.get(i))) << table->name << " element " << i;
    }
  }
}

}  // namespace
}  // namespace tandem::testing
