// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>
#include <utility>

#include "tandem/kernels/test_data.h"

// The one exp of all tables; its accuracy is numerics_test's business.
#define TANDEM_ISA portable
#define TANDEM_ISA_IS_portable 1
#include "tandem/kernels/cpu/vec.h"

namespace tandem::testing {
namespace {

float model_exp(float x) { return portable::exp_one(x); }

// A value rounded to a type and read back.
float rounded(DType type, float value) {
  Array one(type, 1);
  one.set(0, canonical(value));
  return one.get(0);
}

float lanes16(const std::vector<float>& a, const std::vector<float>& b, size_t first, size_t last) {
  float lanes[16] = {};
  for (size_t i = first; i < last; ++i) lanes[(i - first) % 16] = std::fma(a[i], b[i], lanes[(i - first) % 16]);
  return tree(lanes, 16);
}

float model_rstd(const std::vector<float>& y, size_t first, size_t n, float epsilon) {
  std::vector<float> blocks;
  for (size_t b = 0; b < n; b += 256) blocks.push_back(lanes16(y, y, first + b, first + std::min(n, b + 256)));
  const float mean = tree(blocks.data(), blocks.size()) * (1.0f / static_cast<float>(n));
  return 1.0f / std::sqrt(mean + epsilon);
}

struct NormCase {
  int64_t rows, n, heads;
  Array x, residual, gamma, y, norm;
  AddRmsNormArgs args;
};

NormCase make_norm(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n"), heads = c.value("heads", int64_t{1});
  const DType type = dtype_of(c, "dtype", "f16"), x_type = dtype_of(c, "x", "f32");
  NormCase s{rows, n, heads, Array(x_type, rows * n), Array(type, rows * n), Array(type, n / heads), Array(type, rows * n),
             Array(type, rows * n), {}};
  Random random{c.value("seed", uint64_t{1})};
  fill(s.x, random, c.value("data", "normal"));
  fill(s.residual, random, c.value("data", "normal"));
  fill(s.gamma, random, "normal");
  return s;
}

// The views of a case, made anew for each table because y is overwritten.
void bind(NormCase& s, const Case& c) {
  s.args = {s.rows, s.n, s.x.data(), s.x.row_bytes(s.n), nullptr, s.x.dtype};
  s.args.dtype = s.gamma.dtype;
  s.args.residual = c.value("residual", true) ? s.residual.data() : nullptr;
  s.args.residual_row_bytes = s.residual.row_bytes(s.n);
  s.args.gamma = s.gamma.data();
  s.args.epsilon = 1e-6f;
  s.args.y = c.value("keep_y", true) ? s.y.data() : nullptr;
  if (c.value("inplace", false)) s.args.y = s.residual.data();
  s.args.y_row_bytes = s.args.norm_row_bytes = s.y.row_bytes(s.n);
  s.args.norm = s.norm.data();
  s.args.heads = s.heads;
}

void model_norm(NormCase& s, const Case& c) {
  for (int64_t r = 0; r < s.rows; ++r) {
    std::vector<float> y;
    for (int64_t i = r * s.n; i < (r + 1) * s.n; ++i) {
      const float sum = c.value("residual", true) ? s.x.get(i) + s.residual.get(i) : s.x.get(i);
      y.push_back(rounded(s.gamma.dtype, sum));
      s.y.set(i, y.back());
    }
    const int64_t width = s.n / s.heads;
    for (int64_t i = 0; i < s.n; ++i) {
      const float rstd = model_rstd(y, static_cast<size_t>(i / width * width), static_cast<size_t>(width), 1e-6f);
      s.norm.set(r * s.n + i, canonical(y[static_cast<size_t>(i)] * rstd * s.gamma.get(i % width)));
    }
  }
}

TEST(Norm, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_norm.json")) {
    NormCase expected = make_norm(c);
    model_norm(expected, c);
    for (const KernelTable* table : exact_tables()) {
      for (const int threads : {1, 3}) {
        NormCase s = make_norm(c);
        bind(s, c);
        table->norm.add_rms_norm(s.args, lane_of(threads));
        ASSERT_EQ(expected.norm.bytes, s.norm.bytes) << table->name << c.dump();
        if (c.value("inplace", false)) {
          ASSERT_EQ(expected.y.bytes, s.residual.bytes) << table->name << c.dump();
        } else if (c.value("keep_y", true)) {
          ASSERT_EQ(expected.y.bytes, s.y.bytes) << table->name << c.dump();
        }
      }
    }
    if (c.value("data", "normal") != "normal") continue;
    NormCase oracle = make_norm(c);
    bind(oracle, c);
    find_table("reference")->norm.add_rms_norm(oracle.args, lane_of(1));
    const double u = unit_roundoff(oracle.norm.dtype);
    for (int64_t i = 0; i < oracle.norm.count; ++i) {
      const double exact = static_cast<double>(oracle.norm.get(i));
      // y may be rounded the other way where its f32 sum lies on a middle: one more unit of y.
      const double relative = 3 * u + 0x1p-21 + static_cast<double>(oracle.n + 8) * 0x1p-24;
      ASSERT_NEAR(exact, static_cast<double>(expected.norm.get(i)), 1.05 * relative * std::fabs(exact) + least_spacing(oracle.norm.dtype)) << c.dump();
    }
    ++count;
  }
  std::cout << "norm: " << count << " cases\n";
  EXPECT_GT(count, 20);
}

// W3 of the operator page; our single rounding of (y * rstd) * gamma gives the same values.
TEST(Norm, WorkedVectorW3) {
  struct Row { DType type; float gamma[2]; float wanted[2]; };
  for (const Row& row : {Row{DType::f16, {1, 1}, {.78466796875f, 1.1767578125f}}, Row{DType::bf16, {.5f, 2}, {.392578125f, 2.359375f}}}) {
    for (const KernelTable* table : kernel_tables()) {
      Array x(row.type, 2), residual(row.type, 2), gamma(row.type, 2), y(row.type, 2), norm(row.type, 2);
      for (int i = 0; i < 2; ++i) x.set(i, static_cast<float>(1 + i)), residual.set(i, static_cast<float>(3 + i)), gamma.set(i, row.gamma[i]);
      AddRmsNormArgs args{1, 2, x.data(), 4, nullptr, row.type, residual.data(), 4, gamma.data(), row.type, 1e-6f, y.data(), 4, norm.data(), 4};
      table->norm.add_rms_norm(args, lane_of(1));
      EXPECT_EQ(4.0f, y.get(0)) << table->name;
      for (int i = 0; i < 2; ++i) EXPECT_NEAR(row.wanted[i], norm.get(i), unit_roundoff(row.type) * 2) << table->name;
    }
  }
}

TEST(Reduce, SumRowsIsTheTreeThenTheBiases) {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    for (const int64_t n : {1, 19, 64, 2500}) {
      const int64_t rows = 3;
      Random random{static_cast<uint64_t>(ranks * 100 + n)};
      Array in(DType::f32, ranks * rows * n), bias(DType::f32, 2 * n), expected(DType::f32, rows * n);
      fill(in, random, "special");
      fill(bias, random, "normal");
      std::vector<const float*> inputs, biases;
      const float* data = static_cast<const float*>(static_cast<const void*>(in.data()));
      for (int64_t i = 0; i < ranks * rows; ++i) inputs.push_back(data + i * n);
      for (int64_t i = 0; i < 2; ++i) biases.push_back(static_cast<const float*>(static_cast<const void*>(bias.data())) + i * n);
      for (int64_t i = 0; i < rows * n; ++i) {
        std::vector<float> v;
        for (int rank = 0; rank < ranks; ++rank) v.push_back(in.get(rank * rows * n + i));
        expected.set(i, canonical(tree(v.data(), v.size()) + bias.get(i % n) + bias.get(n + i % n)));
      }
      for (const KernelTable* table : exact_tables()) {
        Array y(DType::f32, rows * n);
        std::vector<float*> out;
        for (int64_t r = 0; r < rows; ++r) out.push_back(static_cast<float*>(y.data()) + r * n);
        table->reduce.sum_rows({rows, n, ranks, inputs.data(), 2, biases.data(), out.data()}, lane_of(3));
        ASSERT_EQ(expected.bytes, y.bytes) << table->name << " ranks " << ranks << " n " << n;
      }
    }
  }
}

TEST(Reduce, AddRowsOfEveryType) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const int64_t n = 1029;
    Random random{3};
    Array x(type, n), start(DType::f32, n), expected(DType::f32, n);
    fill(x, random, "special");
    fill(start, random, "special");
    for (int64_t i = 0; i < n; ++i) expected.set(i, canonical(start.get(i) + x.get(i)));
    for (const KernelTable* table : exact_tables()) {
      Array y = start;
      float* out = static_cast<float*>(y.data());
      const void* in = x.data();
      table->reduce.add_rows({1, n, &out, &in, type}, lane_of(1));
      ASSERT_EQ(expected.bytes, y.bytes) << table->name;
    }
  }
}

// The two places of a head that turn by angle i.
std::pair<int64_t, int64_t> pair_of(RopeForm form, int64_t dim, int64_t i) {
  if (form == RopeForm::half) return {i, i + dim / 2};
  if (form == RopeForm::interleave) return {2 * i, 2 * i + 1};
  return i < dim / 4 ? std::pair(i, i + dim / 4) : std::pair(i + dim / 4, i + dim / 2);
}

TEST(Rope, CasesMatchTheScalarModelInEveryForm) {
  int count = 0;
  for (const Case& c : load_cases("kernels_rope.json")) {
    const DType type = dtype_of(c, "dtype", "f16");
    const int64_t rows = c.at("rows"), heads = c.at("heads"), dim = c.at("dim"), half = dim / 2;
    const std::string name = c.at("form"), data = c.value("data", "normal");
    const RopeForm form = name == "half" ? RopeForm::half : name == "interleave" ? RopeForm::interleave : RopeForm::quarter;
    if (form == RopeForm::quarter && dim % 4 != 0) continue;
    Random random{static_cast<uint64_t>(dim)};
    Array x(type, rows * heads * dim), cosine(DType::f32, 9 * half), sine(DType::f32, 9 * half);
    fill(x, random, data), fill(cosine, random, "normal"), fill(sine, random, "normal");
    std::vector<int64_t> positions;
    for (int64_t r = 0; r < rows; ++r) positions.push_back(random.below(9));
    Array expected = x;
    for (int64_t i = 0; i < rows * heads * half; ++i) {
      const auto [a, b] = pair_of(form, dim, i % half);
      const int64_t first = i / half * dim, angle = positions[static_cast<size_t>(i / (heads * half))] * half + i % half;
      const float low = x.get(first + a), high = x.get(first + b), co = cosine.get(angle), si = sine.get(angle);
      expected.set(first + a, canonical(std::fma(low, co, -(high * si))));
      expected.set(first + b, canonical(std::fma(high, co, low * si)));
    }
    for (const KernelTable* table : kernel_tables()) {
      Array y = x;
      const RopeArgs args{rows, heads, dim, y.data(), y.row_bytes(heads * dim), type, static_cast<const float*>(cosine.data()),
                          static_cast<const float*>(sine.data()), positions.data(), form};
      table->rope.rope(args, lane_of(3));
      if (table->name != "reference") {
        ASSERT_EQ(expected.bytes, y.bytes) << table->name << c.dump();
      } else if (data == "normal") {
        for (int64_t i = 0; i < y.count; ++i) ASSERT_NEAR(y.get(i), expected.get(i), 4 * unit_roundoff(type)) << c.dump();
      }
    }
    ++count;
  }
  std::cout << "rope: " << count << " cases\n";
  EXPECT_GT(count, 50);
}

TEST(Softmax, CasesMatchTheScalarModel) {
  int count = 0;
  for (const Case& c : load_cases("kernels_softmax.json")) {
    const DType type = dtype_of(c, "dtype", "f16");
    const int64_t rows = c.at("rows"), n = c.at("n");
    Random random{c.value("seed", uint64_t{1})};
    Array x(type, rows * n), expected(type, rows * n);
    fill(x, random, c.value("data", "normal"));
    for (int64_t i = 0; i < x.count; ++i) x.set(i, x.get(i) * c.value("gain", 1.0f));
    for (int64_t i = 0; i < x.count && c.value("masked", false); ++i) {
      if (random.below(3) == 0 || i < n) x.set(i, -INFINITY);  // the first row wholly
    }
    for (int64_t r = 0; r < rows; ++r) {
      float top = -INFINITY;
      for (int64_t i = r * n; i < (r + 1) * n; ++i) top = std::max(top, x.get(i));
      std::vector<float> e, blocks;
      for (int64_t i = r * n; i < (r + 1) * n; ++i) e.push_back(model_exp(x.get(i) - top));
      const std::vector<float> ones(e.size(), 1.0f);
      for (size_t b = 0; b < e.size(); b += 256) blocks.push_back(lanes16(e, ones, b, std::min(e.size(), b + 256)));
      const float sum = blocks.empty() ? 1 : tree(blocks.data(), blocks.size());
      for (int64_t i = 0; i < n; ++i) expected.set(r * n + i, canonical(e[static_cast<size_t>(i)] / sum));
    }
    for (const KernelTable* table : kernel_tables()) {
      Array y(type, x.count), inplace = x;
      table->norm.softmax({rows, n, x.data(), x.row_bytes(n), y.data(), y.row_bytes(n), type}, lane_of(3));
      table->norm.softmax({rows, n, inplace.data(), x.row_bytes(n), inplace.data(), x.row_bytes(n), type}, lane_of(1));
      ASSERT_EQ(y.bytes, inplace.bytes) << table->name << c.dump();
      if (table->name != "reference") {
        ASSERT_EQ(expected.bytes, y.bytes) << table->name << c.dump();
      } else if (c.value("data", "normal") == "normal" && !c.value("masked", false)) {
        const double bound = 1.05 * (2 * unit_roundoff(type) + static_cast<double>(n + 64) * 0x1p-23);
        for (int64_t i = 0; i < y.count; ++i) ASSERT_NEAR(y.get(i), expected.get(i), bound * y.get(i) + least_spacing(type)) << c.dump();
      }
    }
    ++count;
  }
  std::cout << "softmax: " << count << " cases\n";
  EXPECT_GT(count, 50);
}

TEST(Moe, SwigluEqualsTheModel) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const int64_t n = 4001;
    Random random{4};
    Array gate(type, n), up(type, n), expected(type, n);
    fill(gate, random, "special"), fill(up, random, "special");
    for (int64_t i = 0; i < n; i += 3) gate.set(i, 110 * random.unit());
    for (int64_t i = 0; i < n; ++i) expected.set(i, canonical(gate.get(i) / (1.0f + model_exp(-gate.get(i))) * up.get(i)));
    for (const KernelTable* table : exact_tables()) {
      Array y(type, n);
      table->moe.swiglu({1, n, gate.data(), up.data(), 0, 0, y.data(), 0, type}, lane_of(1));
      ASSERT_EQ(expected.bytes, y.bytes) << table->name;
    }
  }
}

struct Routing {
  std::vector<int32_t> expert;
  std::vector<float> weight;
};

Routing route(const KernelTable& table, const std::vector<float>& logits, int64_t experts, int64_t top_k, bool normalise) {
  const auto rows = static_cast<int64_t>(logits.size()) / experts;
  Routing r{std::vector<int32_t>(static_cast<size_t>(rows * top_k)), std::vector<float>(static_cast<size_t>(rows * top_k))};
  table.moe.top_k({rows, experts, top_k, logits.data(), normalise, r.expert.data(), r.weight.data()}, lane_of(3));
  return r;
}

Routing model_route(const std::vector<float>& logits, size_t top_k, bool normalise) {
  float top = logits[0];
  for (const float v : logits) top = std::isnan(v) || v > top ? v : top;
  std::vector<float> p;
  float sum = 0;
  for (const float v : logits) p.push_back(model_exp(v - top));
  for (const float v : p) sum += v;
  for (float& v : p) v /= sum;
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto key = [&](int32_t i) { return std::isnan(logits[static_cast<size_t>(i)]) ? -INFINITY : logits[static_cast<size_t>(i)]; };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return key(a) > key(b); });
  order.resize(top_k);
  std::sort(order.begin(), order.end());
  Routing r{order, {}};
  float chosen = 0;
  for (const int32_t i : order) chosen += p[static_cast<size_t>(i)];
  for (const int32_t i : order) r.weight.push_back(canonical(normalise ? p[static_cast<size_t>(i)] / chosen : p[static_cast<size_t>(i)]));
  return r;
}

TEST(Moe, TopKEqualsTheModelAndTheOracle) {
  for (const int64_t experts : {8, 13, 128}) {
    for (const bool normalise : {false, true}) {
      Random random{static_cast<uint64_t>(experts)};
      std::vector<float> logits;
      for (int64_t i = 0; i < 7 * experts; ++i) logits.push_back(random.below(4) == 0 ? 1.5f : 6 * random.unit());  // ties
      const Routing oracle = route(*find_table("reference"), logits, experts, 4, normalise);
      for (const KernelTable* table : exact_tables()) {
        const Routing got = route(*table, logits, experts, 4, normalise);
        EXPECT_EQ(oracle.expert, got.expert) << table->name;
        for (size_t row = 0; row < 7; ++row) {
          const std::vector<float> one(logits.begin() + static_cast<int64_t>(row) * experts, logits.begin() + static_cast<int64_t>(row + 1) * experts);
          const Routing expected = model_route(one, 4, normalise);
          for (size_t k = 0; k < 4; ++k) {
            ASSERT_EQ(float_bits(expected.weight[k]), float_bits(got.weight[row * 4 + k])) << table->name;
            ASSERT_NEAR(oracle.weight[row * 4 + k], got.weight[row * 4 + k], 0x1p-20f * oracle.weight[row * 4 + k]);
          }
        }
      }
    }
  }
}

TEST(Moe, TiesGoToTheLowestIdAndNanIsBelowEveryNumber) {
  for (const KernelTable* table : kernel_tables()) {
    EXPECT_EQ((std::vector<int32_t>{0, 1}), route(*table, {0.0f, -0.0f, 0, 0}, 4, 2, true).expert) << table->name;
    EXPECT_EQ((std::vector<int32_t>{1, 3}), route(*table, {NAN, -INFINITY, NAN, -5}, 4, 2, true).expert) << table->name;
    EXPECT_EQ((std::vector<int32_t>{0, 2}), route(*table, {NAN, NAN, 7, NAN}, 4, 2, true).expert) << table->name;
  }
}

}  // namespace
}  // namespace tandem::testing
