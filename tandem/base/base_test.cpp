// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "tandem/base/check.h"
#include "tandem/base/env.h"
#include "tandem/base/half.h"
#include "tandem/base/int4.h"
#include "tandem/base/tensor.h"

namespace tandem {
namespace {

// Nearest f16 by search over all finite codes, ties to the even code.
uint16_t nearest_f16(double value) {
  uint16_t best = 0;
  double best_distance = std::numeric_limits<double>::infinity();
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  for (uint32_t code = 0; code <= 0x7c00; ++code) {
    // The code of infinity stands for the next power of two when distances are measured.
    const double candidate = code == 0x7c00 ? 65536.0 : static_cast<double>(to_float(f16{static_cast<uint16_t>(code)}));
    const double distance = std::fabs(std::fabs(value) - candidate);
    if (distance < best_distance || (distance == best_distance && (code & 1) == 0)) {
      best = static_cast<uint16_t>(code);
      best_distance = distance;
    }
  }
  return static_cast<uint16_t>(sign | best);
}

TEST(Half, F16RoundsToNearestEven) {
  const float cases[] = {0.0f,    -0.0f,   1.0f,      1.0f / 3,   65504.0f, 65519.996f, 65520.0f,  1e9f,
                         0x1p-24f, 0x1p-25f, 0x1.8p-24f, 0x1.8p-25f, 0x1p-14f, 0x1.ffcp-15f, -2.7f,  6.1e-5f};
  for (const float value : cases) EXPECT_EQ(to_f16(value).bits, nearest_f16(value)) << value;
}

TEST(Half, EveryCodeSurvivesTheRoundTrip) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const f16 half{static_cast<uint16_t>(code)};
    const bool nan = (code & 0x7fff) > 0x7c00;
    EXPECT_EQ(to_f16(to_float(half)).bits, nan ? 0x7e00 : code);
    const bf16 brain{static_cast<uint16_t>(code)};
    const bool brain_nan = (code & 0x7fff) > 0x7f80;
    EXPECT_EQ(to_bf16(to_float(brain)).bits, brain_nan ? 0x7fc0 : code);
  }
}

TEST(Half, Bf16TiesGoToEven) {
  EXPECT_EQ(to_bf16(float_from_bits(0x3f808000)).bits, 0x3f80);
  EXPECT_EQ(to_bf16(float_from_bits(0x3f818000)).bits, 0x3f82);
  EXPECT_EQ(to_bf16(float_from_bits(0x3f808001)).bits, 0x3f81);
  EXPECT_EQ(to_bf16(3.4e38f).bits, 0x7f80);
}

TEST(Int4, PackingVector) {
  uint8_t bytes[4] = {};
  const int values[] = {-8, 7, -1, 0, 1, 2, 3, 4};
  for (int i = 0; i < 8; ++i) int4_set(bytes, i, values[i]);
  EXPECT_EQ(bytes[0], 0x78);
  EXPECT_EQ(bytes[1], 0x0f);
  EXPECT_EQ(bytes[2], 0x21);
  EXPECT_EQ(bytes[3], 0x43);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(int4_get(bytes, i), values[i]);
}

TEST(Tensor, ViewsKnowTheirLayout) {
  float data[24];
  const TensorView tensor = make_tensor(data, DType::f32, {2, 3, 4});
  EXPECT_TRUE(tensor.contiguous());
  EXPECT_EQ(tensor.row_count(), 6);
  EXPECT_EQ(tensor.describe(), "[2,3,4] f32");
  EXPECT_FALSE(tensor.transposed().contiguous());
  EXPECT_EQ(tensor.rows(1, 1).data, data + 12);
  EXPECT_EQ(TensorView{}.describe(), "absent");
}

TEST(Check, FirstFailureWinsAndSaysWhatIsWanted) {
  float data[6];
  const TensorView x = make_tensor(data, DType::f32, {2, 3});
  Check check("demo");
  check.present("x", x).rank("x", x, 3, 3).dtype("x", x, {DType::f16});
  ASSERT_FALSE(check.status());
  EXPECT_EQ(check.status().error().message, "demo: x [2,3] f32 has 2 dimensions, 3 wanted");
  EXPECT_EQ(Check("demo").present("y", TensorView{}).status().error().code, ErrorCode::null_argument);
}

TEST(Env, MalformedValuesAreIgnored) {
  ASSERT_EQ(setenv("TANDEM_STRICT", "maybe", 1), 0);
  EXPECT_FALSE(env_integer("TANDEM_STRICT", 0, 1).has_value());
  ASSERT_EQ(setenv("TANDEM_STRICT", "1", 1), 0);
  EXPECT_EQ(env_integer("TANDEM_STRICT", 0, 1), 1);
  ASSERT_EQ(setenv("TANDEM_STRICT", "7", 1), 0);
  EXPECT_FALSE(env_integer("TANDEM_STRICT", 0, 1).has_value());
  unsetenv("TANDEM_STRICT");
  EXPECT_FALSE(env_text("TANDEM_STRICT").has_value());
}

}  // namespace
}  // namespace tandem
