// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>

#include "tandem/kernels/pack.h"
#include "tandem/kernels/test_data.h"

namespace tandem::testing {
namespace {

// The operands of one case.
struct Problem {
  int64_t m, n, k;
  Array x, w, packed, scale, offset, dequant, token;
  std::vector<const void*> x_rows;
  GemmArgs args;
};

void set_layout(Problem& p, const std::string& layout) {
  p.args.w = {p.w.data(), p.w.dtype, p.n, 1, 0};
  if (layout == "transposed") p.args.w = {p.w.data(), p.w.dtype, 1, p.k, 0};
  if (layout == "packed") p.args.w = pack_weight(p.args.w, p.k, p.n, p.packed.data());
}

void set_scales(Problem& p, const Case& c, Random& random) {
  const std::string form = c.value("form", "none");
  if (form == "none") return;
  const int64_t group = form == "group" ? c.value("group", int64_t{32}) : 0;
  const int64_t groups = group > 0 ? (p.k + group - 1) / group : 1;
  const bool turned = c.value("scale_turned", false);
  const DType type = dtype_of(c, "scale", "f16");
  const int64_t stride_n = form == "tensor" ? 0 : turned ? groups : 1;
  const int64_t stride_group = form == "group" ? (turned ? 1 : p.n) : 0;
  p.scale = Array(type, groups * p.n);
  p.offset = Array(type, groups * p.n);
  for (int64_t i = 0; i < p.scale.count; ++i) {
    p.scale.set(i, 0.001f + 0.01f * std::fabs(random.unit()));
    p.offset.set(i, 8 * random.unit());
  }
  const std::string offsets = c.value("offsets", "real");  // or whole numbers, or such that cancel one weight of a group
  for (int64_t i = 0; offsets != "real" && i < groups * p.n; ++i) {
    const int64_t place = i / p.n * stride_group + i % p.n * stride_n;
    const float w = p.w.get(std::min(i / p.n * group, p.k - 1) * p.n + i % p.n);
    p.offset.set(place, offsets == "cancel" ? -w : static_cast<float>(random.below(17) - 8));
  }
  p.args.scale = {p.scale.data(), type, stride_group, stride_n};
  if (c.value("offset", false)) p.args.offset = {p.offset.data(), type, stride_group, stride_n};
  p.args.group = group;
}

void set_int8(Problem& p, const Case& c, Random& random) {
  const DType type = dtype_of(c, "dequant", "f32");
  p.dequant = Array(type, p.n);
  p.token = Array(DType::f32, p.m);
  for (int64_t i = 0; i < p.n; ++i) p.dequant.set(i, 0.01f * random.unit());
  for (int64_t i = 0; i < p.m; ++i) p.token.set(i, random.unit());
  p.args.dequant = {p.dequant.data(), type, 0, c.value("dequant_one", false) ? 0 : 1};
  if (c.value("token", false)) p.args.token = reinterpret_cast<const float*>(p.token.data());
}

std::unique_ptr<Problem> make_problem(const Case& c) {
  const int64_t m = c.at("m"), n = c.at("n"), k = c.at("k");
  const DType w = dtype_of(c, "w", "f16"), none = DType::f32;
  Random random{c.value("seed", uint64_t{1})};
  const auto packed = static_cast<int64_t>(packed_bytes(w, k, n)) * 8 / dtype_bits(w);
  auto p = std::make_unique<Problem>(Problem{m, n, k, Array(dtype_of(c, "x", "f16"), m * k), Array(w, k * n),
                                             Array(w, packed), Array(none, 0), Array(none, 0), Array(none, 0),
                                             Array(none, 0), {}, {}});
  fill(p->x, random, c.value("data", "normal"));
  fill(p->w, random, c.value("data", "normal"));
  p->args.m = m, p->args.n = n, p->args.k = k;
  p->args.leaves = c.value("leaves", 8);
  p->args.x = p->x.data();
  p->args.x_row_bytes = p->x.row_bytes(k);
  p->args.x_dtype = p->x.dtype;
  p->args.y_dtype = dtype_of(c, "y", "f32");
  p->args.split_leaves = c.value("split", false);
  if (p->args.split_leaves) p->args.y_dtype = DType::f32;
  set_layout(*p, c.value("layout", "row"));
  if (p->x.dtype == DType::i8) {
    set_int8(*p, c, random);
  } else {
    set_scales(*p, c, random);
  }
  if (c.value("pointers", false)) {
    for (int64_t r = 0; r < m; ++r) p->x_rows.push_back(static_cast<const uint8_t*>(p->x.data()) + r * p->args.x_row_bytes);
    p->args.x_rows = p->x_rows.data();
    p->args.x = nullptr;
  }
  return p;
}

// Output elements of a row.
int64_t row_width(const GemmArgs& args) { return args.split_leaves ? args.leaves * args.n : args.n; }

Array run(const KernelTable& table, const GemmArgs& from, int threads) {
  GemmArgs args = from;
  Array y(args.y_dtype, args.m * row_width(args));
  args.y = y.data();
  args.y_row_bytes = y.row_bytes(row_width(args));
  table.gemm.run(args, lane_of(threads));
  return y;
}

float scale_of(const Array& array, const ScaleView& view, int64_t group, int64_t c) {
  return array.get(group * view.stride_group + c * view.stride_n);
}

// One leaf as decisions state it, plain; adds |x| * |W'| to `size`.
float model_leaf(const Problem& p, int64_t m, int64_t c, int64_t first, int64_t last, double& size) {
  const GemmArgs& a = p.args;
  const bool turned = a.w.panel == 0 && a.w.stride_k == 1 && a.w.stride_n == p.k && p.k != 1;
  const auto weight = [&](int64_t kk) { return p.w.get(turned ? c * p.k + kk : kk * p.n + c); };
  float leaf = 0, segment = 0;
  int64_t sum = 0;
  for (int64_t kk = first; kk < last; ++kk) {
    const float x = p.x.get(m * p.k + kk);
    if (p.x.dtype == DType::i8) {
      sum += static_cast<int64_t>(x) * static_cast<int64_t>(weight(kk));
      continue;
    }
    if (a.scale.data == nullptr) {
      leaf = std::fma(x, weight(kk), leaf);
      size += std::fabs(static_cast<double>(x) * static_cast<double>(weight(kk)));
      continue;
    }
    const int64_t group = a.group > 0 ? kk / a.group : 0;
    const float offset = a.offset.data != nullptr ? scale_of(p.offset, a.offset, group, c) : 0.0f;
    const float t = a.offset.data != nullptr ? weight(kk) + offset : weight(kk);
    const float scale = scale_of(p.scale, a.scale, group, c);
    segment = std::fma(x, t, segment);
    size += std::fabs(static_cast<double>(x) * static_cast<double>(t) * static_cast<double>(scale));
    if (kk + 1 == last || (a.group > 0 && (kk + 1) % a.group == 0)) {
      leaf = std::fma(segment, scale, leaf);
      segment = 0;
    }
  }
  if (p.x.dtype != DType::i8 || first == last) return leaf;
  leaf = static_cast<float>(static_cast<int32_t>(sum)) * p.dequant.get(c * a.dequant.stride_n);
  if (a.token != nullptr) leaf *= a.token[m];
  size += std::fabs(static_cast<double>(leaf));
  return leaf;
}

struct Model {
  Array y;
  std::vector<double> size;
};

Model model(const Problem& p) {
  const GemmArgs& a = p.args;
  Model out{Array(a.y_dtype, a.m * row_width(a)), std::vector<double>(static_cast<size_t>(a.m * row_width(a)))};
  for (int64_t m = 0; m < a.m; ++m) {
    for (int64_t c = 0; c < a.n; ++c) {
      std::vector<float> leaves;
      double size = 0;
      for (int64_t j = 0; j < a.leaves; ++j) {
        leaves.push_back(model_leaf(p, m, c, j * a.k / a.leaves, (j + 1) * a.k / a.leaves, size));
        const int64_t place = m * row_width(a) + j * a.n + c;
        if (a.split_leaves) out.y.set(place, canonical(leaves.back())), out.size[static_cast<size_t>(place)] = size;
      }
      if (a.split_leaves) continue;
      out.y.set(m * a.n + c, canonical(tree(leaves.data(), leaves.size())));
      out.size[static_cast<size_t>(m * a.n + c)] = size;
    }
  }
  return out;
}

void expect_near(const Problem& p, const Model& expected, const Array& oracle, const std::string& name) {
  const double products = static_cast<double>(p.k + 8) * 0x1p-24;
  for (int64_t i = 0; i < oracle.count; ++i) {
    const double exact = static_cast<double>(oracle.get(i));
    if (std::isinf(exact) && expected.y.get(i) == oracle.get(i)) continue;  // beyond f16
    const double sums = products / (1 - products) * expected.size[static_cast<size_t>(i)];
    const double bound = 1.05 * (sums + 2 * unit_roundoff(oracle.dtype) * std::fabs(exact)) + least_spacing(oracle.dtype);
    ASSERT_NEAR(static_cast<double>(expected.y.get(i)), exact, bound) << name << " element " << i;
  }
}

// The last row alone has the same bits as among the others.
void expect_row_alone(const Problem& p, const KernelTable& table, const Array& whole, const std::string& name) {
  GemmArgs args = p.args;
  const int64_t row = args.m - 1;
  args.m = 1;
  if (args.x_rows != nullptr) args.x_rows += row;
  if (args.x != nullptr) args.x = static_cast<const uint8_t*>(args.x) + row * args.x_row_bytes;
  if (args.token != nullptr) args.token += row;
  const Array alone = run(table, args, 1);
  const size_t bytes = alone.bytes.size();
  ASSERT_EQ(0, std::memcmp(alone.bytes.data(), whole.bytes.data() + static_cast<size_t>(row) * bytes, bytes)) << name;
}

TEST(Gemm, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_gemm.json")) {
    const auto p = make_problem(c);
    const Model expected = model(*p);
    for (const KernelTable* table : exact_tables()) {
      const std::string name = std::string(table->name) + " " + c.dump();
      for (const int threads : {1, 3}) {
        if (threads > 1 && count % 3 != 0) continue;
        const Array y = run(*table, p->args, threads);
        ASSERT_EQ(expected.y.bytes, y.bytes) << name << " threads " << threads;
      }
      if (p->m > 1) expect_row_alone(*p, *table, expected.y, name);
    }
    if (c.value("data", "normal") != "special") expect_near(*p, expected, run(*find_table("reference"), p->args, 1), c.dump());
    ++count;
  }
  std::cout << "gemm: " << count << " cases on " << exact_tables().size() << " tables\n";
  EXPECT_GT(count, 500);
}

// More rows than one pass over the weights serves.
TEST(Gemm, ManyRowsEqualFewRows) {
  for (const char* w : {"f32", "i8"}) {
    const auto p = make_problem(Case{{"m", 403}, {"n", 80}, {"k", 65}, {"x", "f32"}, {"w", w}});
    const Model expected = model(*p);
    for (const KernelTable* table : exact_tables()) EXPECT_EQ(expected.y.bytes, run(*table, p->args, 3).bytes);
  }
}

// Products of one piece of work have the bits of each alone: few rows, many, more than one pass, none, no columns.
TEST(Gemm, AGroupEqualsItsProducts) {
  std::vector<std::unique_ptr<Problem>> problems;
  for (const int64_t m : {5, 1, 0, 403, 14, 8}) {
    for (const char* w : {"f16", "i8", "i4"}) {
      const char* form = w[0] == 'i' ? "group" : "none";
      const int64_t n = m == 14 ? 0 : 70 + 60 * static_cast<int64_t>(problems.size() % 3);
      problems.push_back(make_problem(Case{{"m", m}, {"n", n}, {"k", 97}, {"w", w}, {"form", form}, {"offset", true}}));
    }
  }
  for (const KernelTable* table : exact_tables()) {
    std::vector<Array> grouped;
    std::vector<GemmArgs> args;
    for (const auto& p : problems) {
      grouped.emplace_back(p->args.y_dtype, p->args.m * p->args.n);
      args.push_back(p->args);
      args.back().y = grouped.back().data();
      args.back().y_row_bytes = grouped.back().row_bytes(p->args.n);
    }
    table->gemm.run_group(args.data(), static_cast<int64_t>(args.size()), lane_of(3));
    for (size_t i = 0; i < args.size(); ++i) {
      EXPECT_EQ(model(*problems[i]).y.bytes, grouped[i].bytes) << table->name << " product " << i;
    }
  }
}

// W2 of the operator page: two ranks hold the same operands, so one rank's partial has 4 leaves of its k.
TEST(Gemm, WorkedVectorW2) {
  const auto p = make_problem(Case{{"m", 2}, {"n", 2}, {"k", 4}, {"w", "i8"}, {"form", "channel"}, {"offset", true}, {"leaves", 4}});
  const float x[] = {1, 2, -1, .5, .25, -3, 1.5, 2}, w[] = {10, -20, 30, 40, -128, 127, 5, -6};
  for (int i = 0; i < 8; ++i) p->x.set(i, x[i]), p->w.set(i, w[i]);
  p->scale.set(0, .01f), p->scale.set(1, .02f), p->offset.set(0, 1), p->offset.set(1, -2);
  const float residual[] = {.1f, .2f, -.3f, .4f}, bias[] = {.5f, -.25f};
  const float y[] = {5.16015625f, -3.30078125f, -4.67578125f, 1.98046875f};
  for (const KernelTable* table : exact_tables()) {
    const Array partial = run(*table, p->args, 1);
    for (int i = 0; i < 4; ++i) {
      const float sum = partial.get(i) + partial.get(i) + bias[i % 2] + bias[i % 2] + to_float(to_f16(residual[i]));
      EXPECT_EQ(y[i], to_float(to_f16(sum))) << table->name << " " << i;
    }
  }
}

TEST(Gemm, CombineMatchesTheModel) {
  for (const auto& [m, n, terms, leaves] : {std::array<int64_t, 4>{1, 7, 1, 8}, {3, 96, 2, 8}, {2, 1030, 8, 4}, {5, 33, 3, 1}, {2, 5, 0, 8}}) {
    Random random{static_cast<uint64_t>(n)};
    Array in(DType::f32, m * std::max<int64_t>(terms, 1) * leaves * n), weight(DType::f32, m * std::max<int64_t>(terms, 1));
    fill(in, random, "special");
    fill(weight, random, "normal");
    Array expected(DType::f32, m * n);
    std::vector<const float*> inputs;
    const float* data = static_cast<const float*>(static_cast<const void*>(in.data()));
    for (int64_t i = 0; i < m * terms; ++i) inputs.push_back(data + i * leaves * n);
    for (int64_t i = 0; i < m * n; ++i) {
      std::vector<float> v(static_cast<size_t>(leaves), 0.0f);
      for (int64_t j = 0; j < leaves; ++j) {
        for (int64_t t = i / n * terms; t < (i / n + 1) * terms; ++t) {
          v[static_cast<size_t>(j)] = std::fma(weight.get(t), inputs[static_cast<size_t>(t)][j * n + i % n], v[static_cast<size_t>(j)]);
        }
      }
      expected.set(i, canonical(tree(v.data(), v.size())));
    }
    for (const KernelTable* table : exact_tables()) {
      Array y(DType::f32, m * n);
      std::vector<float*> rows;
      for (int64_t r = 0; r < m; ++r) rows.push_back(static_cast<float*>(y.data()) + r * n);
      const CombineArgs args{m, n, static_cast<int>(leaves), static_cast<int>(terms), inputs.data(), static_cast<const float*>(weight.data()), rows.data()};
      table->gemm.combine(args, lane_of(3));
      EXPECT_EQ(expected.bytes, y.bytes) << table->name << " n " << n;
    }
  }
}

// Packing keeps every element and fills whole panels with zeros.
TEST(Pack, EveryElementAndTheirPadding) {
  for (const DType type : {DType::f32, DType::f16, DType::i8, DType::i4}) {
    const int64_t k = 7, n = 37;
    Array w(type, k * n), turned(type, k * n);
    Random random{5};
    fill(w, random, "normal");
    for (int64_t i = 0; i < k * n; ++i) turned.set(i % n * k + i / n, w.get(i));
    Array a(type, kPanel * k), b(type, kPanel * k);
    ASSERT_EQ(a.bytes.size(), packed_bytes(type, k, n));
    const Weight packed = pack_weight({w.data(), type, n, 1, 0}, k, n, a.data());
    pack_weight({turned.data(), type, 1, k, 0}, k, n, b.data());
    EXPECT_EQ(packed.panel, kPanel);
    EXPECT_EQ(a.bytes, b.bytes);
    for (int64_t i = 0; i < kPanel * k; ++i) {
      const int64_t c = i % kPanel, kk = i / kPanel;
      const float stored = a.get(weight_index(packed, k, kk, c));
      const float value = type != DType::i4 ? stored : stored < 0 ? stored + 8 : stored - 8;
      EXPECT_EQ(value, c < n ? w.get(kk * n + c) : 0.0f);
    }
  }
}

}  // namespace
}  // namespace tandem::testing
