// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/pack.h"

#include <gtest/gtest.h>

#include "tandem/kernels/test_data.h"

namespace tandem::testing {
namespace {

// Every shape of border: odd k and n (int4 rows and columns that begin inside a byte), several panels and tiles.
TEST(PackLayouts, EveryLayoutGivesTheSamePanels) {
  for (const DType type : {DType::f32, DType::bf16, DType::i8, DType::i4}) {
    for (const auto& [k, n] : {std::array<int64_t, 2>{1, 1}, {3, 65}, {64, 64}, {67, 131}, {130, 200}, {129, 64}}) {
      Array w(type, k * n), turned(type, k * n);
      Random random{static_cast<uint64_t>(k * n)};
      fill(w, random, "normal");
      for (int64_t i = 0; i < k * n; ++i) turned.set(i % n * k + i / n, w.get(i));
      const int64_t count = (n + kPanel - 1) / kPanel * kPanel * k;
      Array a(type, count), b(type, count), c(type, count);
      for (Array* array : {&a, &b, &c}) std::fill(array->bytes.begin(), array->bytes.end(), uint8_t{0x5a});
      const Weight packed = pack_weight({w.data(), type, n, 1, 0}, k, n, a.data());
      pack_weight({turned.data(), type, 1, k, 0}, k, n, b.data());
      pack_weight(packed, k, n, c.data());
      EXPECT_EQ(a.bytes, b.bytes) << k << " x " << n;
      EXPECT_EQ(a.bytes, c.bytes) << k << " x " << n;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t column = i / (kPanel * k) * kPanel + i % kPanel, kk = i / kPanel % k;
        const float stored = a.get(weight_index(packed, k, kk, column));
        const float value = type != DType::i4 ? stored : stored < 0 ? stored + 8 : stored - 8;
        const float wanted = column < n ? w.get(kk * n + column) : 0.0f;
        ASSERT_EQ(wanted, value) << k << " x " << n << " at " << kk << ", " << column;
      }
    }
  }
}

}  // namespace
}  // namespace tandem::testing
