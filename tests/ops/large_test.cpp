// SPDX-License-Identifier: Apache-2.0
// Tensors of more than 2^31 elements and 2^32 bytes. About 10 GB of addresses, 3 GB of memory: run by hand (label
// large).
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "tandem/base/half.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/quantize.h"

namespace tandem {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
// Zeros; pages nobody writes cost nothing.
template <class T>
std::unique_ptr<T[], Free> zeros(int64_t count) {
  return std::unique_ptr<T[], Free>(static_cast<T*>(std::calloc(static_cast<size_t>(count), sizeof(T))));
}

template <class Op>
std::string run(const Op& op) {
  auto device = Device::get(0);
  auto stream = Stream::create(**device);
  auto planned = plan(op, **device);
  if (!planned) return planned.error().message;
  std::vector<std::byte> workspace(planned->workspace_bytes());
  if (auto status = planned->run(workspace, **stream); !status) return status.error().message;
  const auto status = (*stream)->synchronize();
  return status ? "" : status.error().message;
}

TEST(Large, QuantizesEveryElement) {
  constexpr int64_t kColumns = 1024, kRows = (int64_t{1} << 21) + 1, kCount = kRows * kColumns;
  const auto x = zeros<f16>(kCount);
  const auto y = zeros<int8_t>(kCount);
  ASSERT_NE(x, nullptr);
  ASSERT_NE(y, nullptr);
  float scale = 2;
  for (const int64_t at : {int64_t{0}, int64_t{1} << 30, (int64_t{1} << 31) - 1, int64_t{1} << 31, kCount - 1})
    x[static_cast<size_t>(at)] = to_f16(21.0f);
  Quantize op;
  op.x = make_tensor(x.get(), DType::f16, {kRows, kColumns});
  op.scale = make_tensor(&scale, DType::f32, {1});
  op.y = make_tensor(y.get(), DType::i8, {kRows, kColumns});
  ASSERT_EQ(run(op), "");
  int64_t sum = 0;
  for (int64_t i = 0; i < kCount; ++i) sum += y[static_cast<size_t>(i)];
  EXPECT_EQ(sum, 5 * 42);
  EXPECT_EQ(y[static_cast<size_t>(kCount - 1)], 42);
  EXPECT_EQ(y[size_t{1} << 31], 42);
}

TEST(Large, MultipliesByAWeightOfMoreThanFourGigabytes) {
  constexpr int64_t kDepth = 2048, kColumns = (int64_t{1} << 20) + 64;
  const auto w = zeros<f16>(kDepth * kColumns);
  const auto y = zeros<float>(kColumns);
  ASSERT_NE(w, nullptr);
  std::vector<f16> x(kDepth, to_f16(0.5f));
  const auto last = static_cast<size_t>(kDepth * kColumns - 1);
  w[0] = to_f16(3.0f);
  w[last] = to_f16(-5.0f);
  w[last - 1] = to_f16(7.0f);
  Matmul op;
  op.a = make_tensor(x.data(), DType::f16, {1, kDepth});
  op.b = make_tensor(w.get(), DType::f16, {kDepth, kColumns});
  op.y = make_tensor(y.get(), DType::f32, {1, kColumns});
  ASSERT_EQ(run(op), "");
  double sum = 0;
  for (int64_t c = 0; c < kColumns; ++c) sum += static_cast<double>(y[static_cast<size_t>(c)]);
  EXPECT_EQ(sum, 0.5 * (3 - 5 + 7));
  EXPECT_EQ(y[static_cast<size_t>(kColumns - 1)], -2.5f);
}

}  // namespace
}  // namespace tandem
