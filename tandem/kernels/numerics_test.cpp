// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "tandem/kernels/test_data.h"

// The vocabulary of the portable table, straight from its header; the other tables are held to it through their kernels.
#define TANDEM_ISA portable
#define TANDEM_ISA_IS_portable 1
#include "tandem/kernels/cpu/vec.h"

namespace tandem::testing {
namespace {

uint32_t canonical_bits(float v) { return float_bits(canonical(v)); }

float soft_fma(float a, float b, float c) {
  return portable::first_lane(portable::fma(portable::set(a), portable::set(b), portable::set(c)));
}

float hard_value(Random& random) {
  switch (random.below(4)) {
    case 0: return special_value(random);
    case 1: return float_from_bits(static_cast<uint32_t>(random.next()));
    case 2: return std::ldexp(1.0f + std::ldexp(1.0f, -static_cast<int>(random.below(24))), static_cast<int>(random.below(80)) - 40);
    default: return std::ldexp(random.unit(), static_cast<int>(random.below(60)) - 30);
  }
}

void expect_fma(float a, float b, float c) {
  ASSERT_EQ(canonical_bits(std::fma(a, b, c)), canonical_bits(soft_fma(a, b, c))) << std::hexfloat << a << " " << b << " " << c;
}

TEST(SoftwareFma, TheCaseWhereRoundingTwiceFails) {
  const float a = 1 + 0x1p-12f, c = 0x1p-60f;
  EXPECT_EQ(0x1.002002p+0f, soft_fma(a, a, c));
  EXPECT_EQ(0x1.002p+0f, static_cast<float>(static_cast<double>(a) * static_cast<double>(a) + static_cast<double>(c)));
}

TEST(SoftwareFma, EqualsTheExactOneOnHardData) {
  Random random{11};
  for (int i = 0; i < 2000000; ++i) {
    const float a = hard_value(random), b = hard_value(random);
    float c = hard_value(random);
    // Near cancellation, where the second rounding hides.
    if (random.below(3) == 0) c = std::nextafter(-a * b, random.below(2) == 0 ? INFINITY : -INFINITY);
    expect_fma(a, b, c);
  }
}

TEST(SoftwareFma, SubnormalResultsAndBorders) {
  for (const float a : {0x1p-75f, 0x1.8p-75f, 0x1.fffffep-75f, 0x1p-149f, -0x1p-126f, 0x1.fffffep+127f, 0.0f, -0.0f}) {
    for (const float b : {0x1p-74f, 0x1.000002p-74f, -0x1p-75f, 0x1p-1f, 1.0f, 0x1.fffffep-1f, 2.0f, -0.0f}) {
      for (const float c : {0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p-126f, -0x1.fffffep-127f, 0x1.fffffep+127f}) expect_fma(a, b, c);
    }
  }
}

// rope's first half is fma(x, cos, -(y * sin)) of three free operands, so it shows the fma of every table.
TEST(Fma, EqualInEveryTable) {
  constexpr int64_t kHalf = 100003;
  Random random{12};
  Array x(DType::f32, 2 * kHalf), cosine(DType::f32, kHalf), sine(DType::f32, kHalf);
  for (int64_t i = 0; i < kHalf; ++i) {
    const float a = hard_value(random), b = hard_value(random);
    x.set(i, a);
    cosine.set(i, b);
    x.set(kHalf + i, random.below(3) == 0 ? std::nextafter(a * b, INFINITY) : hard_value(random));
    sine.set(i, 1.0f);
  }
  const int64_t position = 0;
  for (const KernelTable* table : exact_tables()) {
    Array y = x;
    const RopeArgs args{1, 1, 2 * kHalf, y.data(), y.row_bytes(2 * kHalf), DType::f32, static_cast<const float*>(cosine.data()),
                        static_cast<const float*>(sine.data()), &position};
    table->rope.rope(args, lane_of(1));
    for (int64_t i = 0; i < kHalf; ++i) {
      ASSERT_EQ(canonical_bits(std::fma(x.get(i), cosine.get(i), -x.get(kHalf + i))), float_bits(y.get(i))) << table->name << i;
    }
  }
}

// Distance in units of the last place of the exact value, for subnormals in the least spacing.
double ulps(float got, long double exact) {
  const int exponent = std::max(std::ilogb(static_cast<double>(exact)), -126);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / std::ldexp(1.0L, exponent - 23));
}

TEST(Exp, WithinTwoUnitsEverywhere) {
  double worst = 0;
  float where = 0;
  for (int64_t i = -104 * 8192; i <= 88 * 8192 + 5800; ++i) {
    const float x = static_cast<float>(i) / 8192.0f + 1e-5f * static_cast<float>(i % 7);
    if (x > 88.7228f) continue;
    const double error = ulps(portable::exp_one(x), std::exp(static_cast<long double>(x)));
    if (error > worst) worst = error, where = x;
  }
  for (int i = 0; i < 2000000; ++i) {  // every magnitude near zero
    const float x = std::ldexp(1.0f + static_cast<float>(i % 8191) / 8191.0f, -(i % 30)) * (i % 2 != 0 ? -1.0f : 1.0f);
    const double error = ulps(portable::exp_one(x), std::exp(static_cast<long double>(x)));
    if (error > worst) worst = error, where = x;
  }
  std::cout << "exp: worst error " << worst << " ulp at " << where << "\n";
  EXPECT_LE(worst, 2.0);
}

TEST(Exp, BordersAreExact) {
  EXPECT_EQ(1.0f, portable::exp_one(0.0f));
  EXPECT_EQ(1.0f, portable::exp_one(-0.0f));
  EXPECT_EQ(0u, float_bits(portable::exp_one(-INFINITY)));
  EXPECT_EQ(0u, float_bits(portable::exp_one(-1000.0f)));
  EXPECT_EQ(INFINITY, portable::exp_one(INFINITY));
  EXPECT_EQ(INFINITY, portable::exp_one(89.0f));
  EXPECT_EQ(0x1p-149f, portable::exp_one(-103.2f));
  EXPECT_TRUE(std::isnan(portable::exp_one(NAN)));
}

Array cast_through(const KernelTable& table, const Array& x, DType to) {
  Array y(to, x.count);
  table.reduce.cast({x.count, x.data(), x.dtype, y.data(), to}, lane_of(3));
  return y;
}

template <class Code>
void expect_all_codes(const KernelTable& table, DType type) {
  Array x(type, 65536), expected(DType::f32, 65536), back(type, 65536);
  for (int64_t i = 0; i < 65536; ++i) {
    const Code code{static_cast<uint16_t>(i)};
    std::memcpy(x.bytes.data() + 2 * i, &code, 2);
    expected.set(i, canonical(to_float(code)));
    store_float(reinterpret_cast<Code*>(back.bytes.data()) + i, to_float(code));
  }
  const Array wide = cast_through(table, x, DType::f32);
  EXPECT_EQ(expected.bytes, wide.bytes) << table.name;
  EXPECT_EQ(back.bytes, cast_through(table, wide, type).bytes) << table.name;
  for (int64_t i = 0; i < 65536; ++i) {  // a code that is no NaN comes back as it was
    const bool same = std::memcmp(x.bytes.data() + 2 * i, back.bytes.data() + 2 * i, 2) == 0;
    ASSERT_TRUE(same || std::isnan(wide.get(i))) << i;
  }
}

TEST(Cast, EveryCodeOfTheShortFloats) {
  for (const KernelTable* table : exact_tables()) {
    expect_all_codes<f16>(*table, DType::f16);
    expect_all_codes<bf16>(*table, DType::bf16);
  }
}

// Every f16 and bf16 border: halves between neighbours and the values beside them, subnormals, overflow.
TEST(Cast, RoundsToNearestEven) {
  std::vector<float> values{65519.99f, 65520.0f, 65536.0f, 0x1p-25f, 0x1.000002p-25f, 0x1p-149f, 3.4e38f, NAN, -NAN, -INFINITY};
  for (uint32_t code = 0; code < 0x7c00u; ++code) {
    const float low = to_float(f16{static_cast<uint16_t>(code)});
    const float middle = (low + (code == 0x7bffu ? 65536.0f : to_float(f16{static_cast<uint16_t>(code + 1)}))) / 2;
    for (const float v : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) values.push_back(v), values.push_back(-v);
  }
  for (uint32_t code = 0; code < 0x7f80u; ++code) {
    for (const uint32_t tail : {0x7fffu, 0x8000u, 0x8001u}) values.push_back(float_from_bits(code << 16 | tail));
  }
  Array x(DType::f32, static_cast<int64_t>(values.size()));
  for (int64_t i = 0; i < x.count; ++i) x.set(i, values[static_cast<size_t>(i)]);
  for (const DType type : {DType::f16, DType::bf16}) {
    Array expected(type, x.count), oracle(type, x.count);
    for (int64_t i = 0; i < x.count; ++i) expected.set(i, x.get(i));
    for (const KernelTable* table : kernel_tables()) EXPECT_EQ(expected.bytes, cast_through(*table, x, type).bytes) << table->name;
  }
  EXPECT_EQ(0x7c00, to_f16(65520.0f).bits);
  EXPECT_EQ(0x7bff, to_f16(65519.99f).bits);
  EXPECT_EQ(0x7e00, to_f16(-NAN).bits);
}

TEST(Cast, IntegersRoundOnce) {
  Array x(DType::i32, 100000);
  Random random{13};
  for (int64_t i = 0; i < x.count; ++i) {
    // Just above the middle of two bf16 values, by less than an f32 sees.
    const auto high = static_cast<uint32_t>(random.below(0x80)) << 24 | static_cast<uint32_t>(random.below(256)) << 16;
    const uint32_t value = random.below(2) == 0 ? high + 0x800000u + static_cast<uint32_t>(random.below(3)) : static_cast<uint32_t>(random.next());
    std::memcpy(x.bytes.data() + 4 * i, &value, 4);
  }
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Array expected = cast_through(*find_table("reference"), x, type);
    for (const KernelTable* table : exact_tables()) EXPECT_EQ(expected.bytes, cast_through(*table, x, type).bytes) << table->name;
  }
}

TEST(Tables, DefaultIsTheBestAndTheOracleLast) {
  ASSERT_GE(kernel_tables().size(), 2u);
  EXPECT_EQ("reference", kernel_tables().back()->name);
  EXPECT_EQ(nullptr, find_table("no such table"));
  ASSERT_NE(nullptr, find_table("portable"));
}

}  // namespace
}  // namespace tandem::testing
