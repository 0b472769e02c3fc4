// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>

#include "tandem/kernels/test_data.h"

namespace tandem::testing {
namespace {

float saturate(float v, DType type, Rounding rounding) {
  if (std::isnan(v)) return 0;
  v = type == DType::i4 ? std::min(std::max(v, -8.0f), 7.0f) : std::min(std::max(v, -128.0f), 127.0f);
  switch (rounding) {
    case Rounding::half_even: return std::nearbyint(v);
    case Rounding::floor: return std::floor(v);
    case Rounding::ceil: return std::ceil(v);
    case Rounding::truncate: return std::trunc(v);
  }
  return v;
}

Rounding rounding_of(const Case& c) {
  const std::string name = c.value("rounding", "half_even");
  return name == "floor" ? Rounding::floor : name == "ceil" ? Rounding::ceil : name == "truncate" ? Rounding::truncate : Rounding::half_even;
}

// "ties": quotients that end in .5 and their neighbours; "wide" and "special" saturate and carry NaN.
void fill_values(Array& x, Random& random, const std::string& kind) {
  fill(x, random, kind);
  if (kind != "ties") return;
  for (int64_t i = 0; i < x.count; ++i) {
    const float tie = static_cast<float>(random.below(300) - 150) + 0.5f;
    const float values[] = {tie, std::nextafter(tie, 1e9f), std::nextafter(tie, -1e9f)};
    x.set(i, values[random.below(3)]);
  }
}

Array column_operand(const Case& c, const char* key, int64_t n, Random& random) {
  const std::string form = c.value(key, "none");  // none, single, row
  Array operand(dtype_of(c, "operand", "f32"), form == "row" ? n : 1);
  fill(operand, random, c.value("data", "normal") == "special" ? "special" : "normal");
  if (c.value("data", "normal") == "ties") {
    for (int64_t i = 0; i < operand.count; ++i) operand.set(i, 1);
  }
  return operand;
}
PerColumn view(const Array& operand, const Case& c, const char* key) {
  const std::string form = c.value(key, "none");
  if (form == "none") return {};
  return {operand.data(), operand.dtype, form == "single"};
}
float value_at(const Array& operand, const PerColumn& column, int64_t c, float absent) {
  return column.data == nullptr ? absent : operand.get(column.single ? 0 : c);
}

TEST(Quantize, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_quant.json")) {
    if (c.at("kernel") != "quantize") continue;
    const int64_t rows = c.at("rows"), n = c.at("n");
    const DType to = dtype_of(c, "to", "i8");
    Random random{c.value("seed", uint64_t{1})};
    Array x(dtype_of(c, "dtype", "f16"), rows * n);
    fill_values(x, random, c.value("data", "normal"));
    for (int64_t i = 0; i < x.count; ++i) x.set(i, x.get(i) * c.value("gain", 1.0f));
    const Array scale = column_operand(c, "scale", n, random), offset = column_operand(c, "offset", n, random);
    QuantizeArgs args{rows, n, x.data(), x.row_bytes(n), x.dtype, view(scale, c, "scale"), view(offset, c, "offset"), rounding_of(c),
                      c.value("square", false), c.value("divide", false), c.value("offset_last", false)};
    args.y_dtype = to;
    Array expected(to, rows * n);
    for (int64_t i = 0; i < x.count; ++i) {
      const float s = value_at(scale, args.scale, i % n, 1), o = value_at(offset, args.offset, i % n, 0);
      float v = x.get(i);
      for (int k = 0; k < (args.square ? 2 : 1); ++k) v = args.divide ? v / s : v * s;
      if (args.offset_last) v = saturate(v, to, args.rounding);
      expected.set(i, saturate(v + o, to, args.rounding));
    }
    args.y_row_bytes = expected.row_bytes(n);
    for (const KernelTable* table : kernel_tables()) {
      if (table->name == "reference" && c.value("data", "normal") == "special") continue;
      for (const int threads : {1, 3}) {
        Array y(to, rows * n);
        args.y = y.data();
        table->quant.quantize(args, lane_of(threads));
        if (table->name != "reference") {
          ASSERT_EQ(expected.bytes, y.bytes) << table->name << c.dump();
        } else {  // one f32 step decides a tie
          const float allowed = args.offset_last ? 2 : 1;
          for (int64_t i = 0; i < y.count; ++i) ASSERT_NEAR(y.get(i), expected.get(i), allowed) << c.dump();
        }
      }
    }
    ++count;
  }
  std::cout << "quantize: " << count << " cases\n";
  EXPECT_GT(count, 100);
}

TEST(Dequantize, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_quant.json")) {
    if (c.at("kernel") != "dequantize") continue;
    const int64_t rows = c.at("rows"), n = c.at("n");
    Random random{c.value("seed", uint64_t{1})};
    const DType from = dtype_of(c, "from", "i8"), to = dtype_of(c, "dtype", "f16");
    Array x(from, rows * n), row_scale(DType::f32, rows), expected(to, rows * n), oracle(to, rows * n);
    fill(x, random, "normal");
    for (int64_t i = 0; from == DType::i32 && i < x.count; ++i) reinterpret_cast<int32_t*>(x.bytes.data())[i] = static_cast<int32_t>(random.next());
    fill(row_scale, random, "normal");
    const Array scale = column_operand(c, "scale", n, random), offset = column_operand(c, "offset", n, random);
    DequantizeArgs args{rows, n, x.data(), x.row_bytes(n), from, view(scale, c, "scale"), view(offset, c, "offset")};
    args.row_scale = c.value("row_scale", false) ? static_cast<const float*>(row_scale.data()) : nullptr;
    args.square = c.value("square", false), args.y_dtype = to, args.y_row_bytes = expected.row_bytes(n);
    for (int64_t i = 0; i < x.count; ++i) {
      const float s = value_at(scale, args.scale, i % n, 1);
      const float stored = from == DType::i32 ? static_cast<float>(reinterpret_cast<const int32_t*>(x.bytes.data())[i]) : x.get(i);
      float v = (stored + value_at(offset, args.offset, i % n, 0)) * s;
      if (args.square) v *= s;
      expected.set(i, canonical(args.row_scale != nullptr ? v * args.row_scale[i / n] : v));
    }
    for (const KernelTable* table : exact_tables()) {
      Array y(to, rows * n);
      args.y = y.data();
      table->quant.dequantize(args, lane_of(3));
      ASSERT_EQ(expected.bytes, y.bytes) << table->name << c.dump();
    }
    args.y = oracle.data();
    find_table("reference")->quant.dequantize(args, lane_of(1));
    for (int64_t i = 0; c.value("data", "normal") == "normal" && i < x.count; ++i) {
      if (oracle.get(i) == expected.get(i)) continue;  // infinities too
      const double exact = static_cast<double>(oracle.get(i)), size = std::fabs(exact) + 0x1p-22 * (from == DType::i32 ? 0x1p31 : 0x1p7);
      ASSERT_NEAR(exact, static_cast<double>(expected.get(i)), 1.05 * (2 * unit_roundoff(to) + 0x1p-21) * size + least_spacing(to)) << c.dump();
    }
    ++count;
  }
  EXPECT_GT(count, 30);
}

struct DynamicCase {
  int64_t rows, n, smooth_rows = 3;
  Array x, smooth, y, scale, offset;
  std::vector<int32_t> smooth_row;
  DynamicQuantArgs args;
};

DynamicCase make_dynamic(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  const DType type = dtype_of(c, "dtype", "f16"), to = dtype_of(c, "to", "i8");
  DynamicCase s{rows, n, 3, Array(type, rows * n), Array(type, 3 * n), Array(to, rows * n), Array(DType::f32, rows), Array(DType::f32, rows), {}, {}};
  Random random{c.value("seed", uint64_t{1})};
  fill_values(s.x, random, c.value("data", "normal"));
  fill(s.smooth, random, "normal");
  for (int64_t i = 0; i < s.x.count; ++i) s.x.set(i, s.x.get(i) * c.value("gain", 1.0f));
  for (int64_t i = 0; i < n && c.value("zero_row", false); ++i) s.x.set(i, i % 2 == 0 ? 0.0f : -0.0f);
  for (int64_t r = 0; r < rows; ++r) s.smooth_row.push_back(static_cast<int32_t>((r + 1) % 3));
  return s;
}
void bind(DynamicCase& s, const Case& c) {
  const std::string smooth = c.value("smooth", "none");  // none, one, rows
  s.args = {s.rows, s.n, s.x.data(), s.x.row_bytes(s.n), s.x.dtype};
  if (smooth != "none") s.args.smooth = s.smooth.data();
  if (smooth == "rows") s.args.smooth_row = s.smooth_row.data();
  s.args.y = s.y.data(), s.args.y_row_bytes = s.y.row_bytes(s.n), s.args.y_dtype = s.y.dtype;
  s.args.scale = static_cast<float*>(s.scale.data());
  if (c.value("asymmetric", false)) s.args.offset = static_cast<float*>(s.offset.data());
}

void model_dynamic(DynamicCase& s) {
  const float top = s.y.dtype == DType::i4 ? 7.0f : 127.0f, steps = s.y.dtype == DType::i4 ? 15.0f : 255.0f;
  for (int64_t r = 0; r < s.rows; ++r) {
    std::vector<float> v;
    const int64_t smooth = s.args.smooth_row == nullptr ? 0 : s.smooth_row[static_cast<size_t>(r)];
    for (int64_t i = 0; i < s.n; ++i) v.push_back(s.x.get(r * s.n + i) * (s.args.smooth == nullptr ? 1.0f : s.smooth.get(smooth * s.n + i)));
    float low = INFINITY, high = -INFINITY, most = 0;
    bool nan = false;
    for (const float value : v) low = std::min(low, value), high = std::max(high, value), most = std::max(most, std::fabs(value)), nan = nan || std::isnan(value);
    if (s.n == 0) low = high = 0;
    float scale = most / top, offset = 0;
    bool zero = most == 0;
    if (s.args.offset != nullptr) scale = std::max((high - low) / steps, 1e-12f), offset = top - high / scale, zero = false;
    if (nan || std::isinf(most)) scale = nan ? NAN : INFINITY, offset = NAN, zero = true;
    s.scale.set(r, scale);
    if (s.args.offset != nullptr) s.offset.set(r, offset);
    for (int64_t i = 0; i < s.n; ++i) {
      s.y.set(r * s.n + i, zero ? 0 : saturate(v[static_cast<size_t>(i)] / scale + offset, s.y.dtype, Rounding::half_even));
    }
  }
}

TEST(DynamicQuant, CasesMatchTheScalarModelBitForBit) {
  int count = 0;
  for (const Case& c : load_cases("kernels_quant.json")) {
    if (c.at("kernel") != "dynamic_quant") continue;
    DynamicCase expected = make_dynamic(c);
    bind(expected, c);
    model_dynamic(expected);
    for (const KernelTable* table : kernel_tables()) {
      for (const int threads : {1, 3}) {
        DynamicCase s = make_dynamic(c);
        bind(s, c);
        table->quant.dynamic_quant(s.args, lane_of(threads));
        if (table->name != "reference") {
          ASSERT_EQ(expected.scale.bytes, s.scale.bytes) << table->name << c.dump();
          ASSERT_EQ(expected.offset.bytes, s.offset.bytes) << table->name << c.dump();
          ASSERT_EQ(expected.y.bytes, s.y.bytes) << table->name << c.dump();
        } else if (c.value("data", "normal") == "normal" && c.value("gain", 1.0f) == 1.0f) {
          for (int64_t i = 0; i < s.y.count; ++i) ASSERT_NEAR(s.y.get(i), expected.y.get(i), 1) << c.dump();
          for (int64_t i = 0; i < s.rows; ++i) ASSERT_NEAR(s.scale.get(i), expected.scale.get(i), 0x1p-22f * s.scale.get(i)) << c.dump();
        }
      }
    }
    ++count;
  }
  std::cout << "dynamic_quant: " << count << " cases\n";
  EXPECT_GT(count, 100);
}

// Every scale from subnormal to overflow: where the quotient comes from the reciprocal and where it may not.
TEST(DynamicQuant, QuotientIsTheDivisionAtEveryScale) {
  Random random{77};
  constexpr int64_t kColumns = 200;
  for (int exponent = -149; exponent <= 127; ++exponent) {
    Array x(DType::f32, kColumns);
    for (int64_t i = 0; i < kColumns; ++i) x.set(i, std::ldexp(random.unit(), exponent));
    float most = 0;
    for (int64_t i = 0; i < kColumns; ++i) most = std::max(most, std::fabs(x.get(i)));
    const float scale = most / 127.0f;
    // Values beside the middle between two integers, where one unit of the quotient would show.
    for (int64_t i = 1; i < kColumns && scale > 0; i += 2) {
      const float middle = (static_cast<float>(random.below(250)) - 124.5f) * scale;
      const float beside = std::nextafter(middle, random.below(2) == 0 ? 1e38f : -1e38f);
      if (std::fabs(beside) < most && std::fabs(x.get(i)) < most) x.set(i, beside);
    }
    DynamicQuantArgs args{1, kColumns, x.data(), 4 * kColumns, DType::f32};
    for (const KernelTable* table : exact_tables()) {
      Array y(DType::i8, kColumns);
      float got = -1;
      args.y = y.data(), args.y_row_bytes = kColumns, args.scale = &got;
      table->quant.dynamic_quant(args, lane_of(1));
      ASSERT_EQ(scale, got) << table->name << exponent;
      for (int64_t i = 0; i < kColumns; ++i) {
        const float wanted = most == 0 ? 0 : saturate(x.get(i) / scale, DType::i8, Rounding::half_even);
        ASSERT_EQ(wanted, y.get(i)) << table->name << " exponent " << exponent << std::hexfloat << " " << x.get(i) << " / " << scale;
      }
    }
  }
}

}  // namespace
}  // namespace tandem::testing
