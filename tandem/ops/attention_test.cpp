// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tandem/base/half.h"
#include "tandem/exec/stream.h"

namespace tandem {
namespace {

constexpr int64_t kTokens = 40, kPast = 250, kHeads = 6, kKvHeads = 2, kDim = 24;

std::vector<f16> waves(int64_t count, double step) {
  std::vector<f16> all(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    store_float(&all[static_cast<size_t>(i)], static_cast<float>(std::sin(step * static_cast<double>(i))));
  return all;
}

template <class Op>
void run(const Op& op, Stream& stream) {
  auto planned = plan(op, stream.device());
  ASSERT_TRUE(planned) << planned.error().message;
  std::vector<std::byte> workspace(planned->workspace_bytes());
  ASSERT_TRUE(planned->run(workspace, stream));
  const auto done = stream.synchronize();
  ASSERT_TRUE(done) << done.error().message;
}

// Every token of a causal prompt behind a cache has the bits of the decode step at its position.
TEST(Attention, ATokenOfAPromptIsADecodeStep) {
  auto stream = Stream::create(**Device::get(0));
  ASSERT_TRUE(stream);
  auto query = waves(kTokens * kHeads * kDim, 0.37), key = waves((kPast + kTokens) * kKvHeads * kDim, 0.73);
  auto value = waves((kPast + kTokens) * kKvHeads * kDim, 1.19);
  std::vector<f16> prompt(query.size()), steps(query.size());
  const auto cache = [&](std::vector<f16>& from) {
    return std::vector{make_tensor(from.data(), DType::f16, {1, kPast + kTokens, kKvHeads, kDim})};
  };
  FusedInferAttention whole;
  whole.query = make_tensor(query.data(), DType::f16, {1, kTokens, kHeads, kDim});
  whole.key = cache(key), whole.value = cache(value);
  whole.y = make_tensor(prompt.data(), DType::f16, {1, kTokens, kHeads, kDim});
  whole.heads = kHeads, whole.kv_heads = kKvHeads, whole.scale = 0.2;
  whole.order = HeadOrder::bsnd, whole.causal = Causal::right_down;
  run(whole, **stream);
  for (int64_t t = 0; t < kTokens; ++t) {
    IncreFlashAttention step;
    step.query = make_tensor(query.data() + t * kHeads * kDim, DType::f16, {1, 1, kHeads, kDim});
    step.key = cache(key), step.value = cache(value);
    step.y = make_tensor(steps.data() + t * kHeads * kDim, DType::f16, {1, 1, kHeads, kDim});
    step.lengths = {kPast + t + 1};
    step.heads = kHeads, step.kv_heads = kKvHeads, step.scale = 0.2;
    step.order = HeadOrder::bsnd;
    run(step, **stream);
  }
  EXPECT_EQ(std::memcmp(prompt.data(), steps.data(), prompt.size() * sizeof(f16)), 0);
}

}  // namespace
}  // namespace tandem
