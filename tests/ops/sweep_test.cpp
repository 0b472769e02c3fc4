// SPDX-License-Identifier: Apache-2.0
// Random calls against the double oracle: TANDEM_SWEEP_CASES of each operator (40; the slow test takes 2000).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "tests/ops/case.h"

namespace tandem::ops_test {
namespace {

using nlohmann::json;
using Dims = std::vector<int64_t>;

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_); }
  bool chance(int percent) { return between(1, 100) <= percent; }
  const char* float_type() {
    const char* const types[] = {"f32", "f16", "bf16"};
    return types[between(0, 2)];
  }
  // Up to eight dimensions, the last of them `n`; sometimes empty.
  Dims dims(int64_t n, int least = 1) {
    Dims all;
    for (int64_t rank = between(least, 8); rank > 1; --rank)
      all.push_back(chance(80) ? between(1, 2) : chance(10) ? 0 : 3);
    all.push_back(n);
    return all;
  }
  int64_t size() { return chance(20) ? between(1, 4) : chance(80) ? between(5, 70) : between(200, 700); }

  // Now and then with gaps, or with the order of memory turned round, or around the subnormals.
  json input(const std::string& type, const Dims& dims, double low = -3, double high = 3) {
    json spec{{"dtype", type}, {"dims", dims}, {"range", {low, high}}};
    if (type != "i4" && chance(25)) spec["strides"] = strides(dims);
    if (low < 0 && type[0] != 'i' && chance(8)) spec["range"] = {-1e-6, 1e-6};
    return spec;
  }
  json plain(const std::string& type, const Dims& dims, double low, double high) {
    return {{"dtype", type}, {"dims", dims}, {"range", {low, high}}};
  }
  json output(const std::string& type, const Dims& dims) {
    json spec{{"dtype", type}, {"dims", dims}, {"output", true}};
    if (type != "i4" && chance(15)) spec["strides"] = strides(dims);
    return spec;
  }

 private:
  Dims strides(const Dims& dims) {
    Dims order(dims.size()), result(dims.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    if (chance(50)) std::shuffle(order.begin(), order.end(), random_);
    int64_t step = 1;
    for (size_t i = order.size(); i-- > 0;) {
      result[static_cast<size_t>(order[i])] = step;
      step *= std::max<int64_t>(1, dims[static_cast<size_t>(order[i])]) + (chance(30) ? between(0, 3) : 0);
    }
    return result;
  }
  std::mt19937_64 random_;
};

json norm(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  Dims ones = dims;
  ones.back() = 1;
  json tensors{{"x", m.input(type, dims)},
               {"gamma", m.input(type, {n})},
               {"y", m.output(type, dims)},
               {"rstd", m.output("f32", ones)}};
  if (m.chance(60)) tensors["residual"] = m.input(type, dims), tensors["sum"] = m.output(type, dims);
  return {{"op", "rms_norm"}, {"tensors", tensors}};
}

json quantize(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  json tensors{{"x", m.input(type, dims)},
               {"scale", m.input(type, {m.chance(80) ? n : 1}, 5, 60)},
               {"y", m.output(n % 2 == 0 && m.chance(30) ? "i4" : "i8", dims)}};
  if (m.chance(60)) tensors["offset"] = m.input(type, {m.chance(80) ? n : 1}, -9, 9);
  const char* const modes[] = {"round", "floor", "ceil", "trunc"};
  return {{"op", "quantize"},
          {"tensors", tensors},
          {"words", {{"rounding", modes[m.between(0, 3)]}}},
          {"numbers", {{"divide", m.chance(20)}}}};
}

json dequantize(Maker& m) {
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  const std::string type = n % 2 == 0 && m.chance(40) ? "i4" : "i8", scale = m.float_type();
  json tensors{{"x", m.plain(type, dims, type == "i4" ? -8 : -128, type == "i4" ? 8 : 128)},
               {"scale", m.plain(scale, {m.chance(80) ? n : 1}, 0.01, 0.5)},
               {"y", m.output(m.float_type(), dims)}};
  if (m.chance(60)) tensors["offset"] = m.plain(scale, {m.chance(80) ? n : 1}, -9, 9);
  return {{"op", "dequantize"}, {"tensors", tensors}};
}

json dynamic_quant(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n, 2);
  const Dims rows(dims.begin(), dims.end() - 1);
  json tensors{{"x", m.input(type, dims)},
               {"y", {{"dtype", n % 2 == 0 && m.chance(30) ? "i4" : "i8"}, {"dims", dims}, {"output", true}}},
               {"scale", {{"dtype", "f32"}, {"dims", rows}, {"output", true}}}};
  if (m.chance(40)) tensors["smooth"] = m.input(type, {n}, 0.5, 2);
  if (m.chance(30)) tensors["offset"] = {{"dtype", "f32"}, {"dims", rows}, {"output", true}};
  return {{"op", "dynamic_quant"}, {"tensors", tensors}};
}

json activation(Maker& m) {
  const std::string type = m.float_type();
  const Dims dims = m.dims(m.size());
  const char* const ops[] = {"silu", "gelu", "scale"};
  return {{"op", "activation"},
          {"words", {{"op", ops[m.between(0, 2)]}}},
          {"numbers", {{"alpha", 0.7}}},
          {"tensors", {{"x", m.input(type, dims)}, {"y", m.output(type, dims)}}}};
}

json arithmetic(Maker& m) {
  const std::string type = m.float_type();
  const Dims dims = m.dims(m.size());
  Dims b = dims;
  for (int64_t& dim : b) dim = m.chance(25) && dim > 0 ? 1 : dim;
  if (m.chance(25)) b.erase(b.begin());
  const char* const ops[] = {"add", "subtract", "multiply", "divide"};
  return {{"op", "arithmetic"},
          {"words", {{"op", ops[m.between(0, 3)]}}},
          {"tensors", {{"a", m.input(type, dims)}, {"b", m.input(type, b, 1, 4)}, {"y", m.output(type, dims)}}}};
}

json swiglu(Maker& m) {
  const std::string type = m.float_type();
  Dims dims = m.dims(m.size());
  const int64_t dim = m.between(0, static_cast<int64_t>(dims.size()) - 1);
  Dims whole = dims;
  whole[static_cast<size_t>(dim)] *= 2;
  return {{"op", "swiglu"},
          {"numbers", {{"dim", dim}}},
          {"tensors", {{"x", m.input(type, whole)}, {"y", m.output(type, dims)}}}};
}

json softmax(Maker& m) {
  const std::string type = m.float_type();
  Dims dims = m.dims(m.size());
  for (int64_t& dim : dims) dim = std::max<int64_t>(1, dim);
  const int64_t dim = m.between(0, static_cast<int64_t>(dims.size()) - 1);
  return {{"op", "softmax"},
          {"numbers", {{"dim", dim}}},
          {"tensors", {{"x", m.input(type, dims)}, {"y", m.output(type, dims)}}}};
}

json rope(Maker& m) {
  const std::string type = m.float_type();
  const char* const forms[] = {"half", "interleave", "quarter"};
  const int64_t dim = 4 * m.between(1, 40), rows = m.between(1, 5);
  return {{"op", "rope"},
          {"words", {{"form", forms[m.between(0, 2)]}}},
          {"tensors",
           {{"query", m.input(type, {rows, m.between(1, 5), dim})},
            {"key", m.input(type, {rows, m.between(1, 3), dim})},
            {"cos", m.input(type, {rows, dim}, -1, 1)},
            {"sin", m.input(type, {rows, dim}, -1, 1)}}}};
}

json matmul(Maker& m) {
  const std::string type = m.float_type();
  const int64_t rows = m.between(1, 20), k = m.chance(5) ? 0 : m.size(), n = m.size();
  Dims a{rows, k}, b{k, n}, y{rows, n};
  if (m.chance(40)) {
    const int64_t batch = m.between(1, 3);
    a.insert(a.begin(), batch);
    y.insert(y.begin(), batch);
    if (m.chance(50)) b.insert(b.begin(), batch);
  }
  json tensors{{"a", m.input(type, a)}, {"b", m.input(type, b)}, {"y", m.output(type, y)}};
  if (m.chance(40)) tensors["c"] = m.input(type, {m.chance(50) ? n : 1});
  return {{"op", "matmul"},
          {"numbers", {{"alpha", m.chance(50) ? 1 : 0.5}, {"beta", m.chance(50) ? 1 : -2}}},
          {"tensors", tensors}};
}

json linear(Maker& m) {
  const std::string type = m.float_type();
  const int64_t k = m.size(), n = m.size();
  const Dims x{m.between(1, 3), m.between(1, 4), k};
  json tensors{{"x", m.input(type, x)}, {"weight", m.input(type, {n, k})}, {"y", m.output(type, {x[0], x[1], n})}};
  if (m.chance(60)) tensors["bias"] = m.input(type, {n});
  return {{"op", "linear"}, {"tensors", tensors}};
}

json quant_matmul(Maker& m) {
  const int64_t rows = m.between(1, 20), k = m.size(), n = m.size();
  json tensors{{"x1", m.input("i8", {rows, k}, -128, 128)},
               {"x2", m.input("i8", {k, n}, -128, 128)},
               {"scale", m.input("f32", {m.chance(80) ? n : 1}, 1e-4, 1e-3)},
               {"y", m.output(m.float_type(), {rows, n})}};
  if (m.chance(40)) tensors["token"] = m.input("f32", {rows}, 0.5, 2);
  if (m.chance(40)) tensors["bias"] = m.chance(50) ? m.plain("i32", {n}, -9999, 9999) : m.plain("f16", {n}, -3, 3);
  return {{"op", "quant_matmul"}, {"tensors", tensors}};
}

json weight_quant_matmul(Maker& m) {
  const std::string type = m.float_type();
  const int64_t rows = m.between(1, 20), k = m.between(2, 130), n = 2 * m.between(1, 40),
                group = m.chance(50) ? m.between(1, k) : 0;
  const Dims scale = group > 0 ? Dims{(k + group - 1) / group, n} : Dims{m.chance(80) ? n : 1};
  json tensors{{"x", m.input(type, {rows, k})},
               {"weight", m.plain(m.chance(50) ? "i8" : "i4", {k, n}, -8, 8)},
               {"scale", m.plain(type, scale, 0.01, 0.05)},
               {"y", m.output(type, {rows, n})}};
  if (m.chance(60)) tensors["offset"] = m.plain(type, scale, -4, 4);
  if (m.chance(50)) tensors["bias"] = m.plain(type, {n}, -3, 3);
  return {{"op", "weight_quant_matmul"}, {"numbers", {{"group", group}}}, {"tensors", tensors}};
}

json moe_gating(Maker& m) {
  const int64_t rows = m.between(1, 9), experts = m.between(1, 60), k = m.between(1, std::min<int64_t>(8, experts));
  return {{"op", "moe_gating"},
          {"numbers", {{"top_k", k}, {"normalise", m.chance(50)}}},
          {"tensors",
           {{"x", m.input("f32", {rows, experts})},
            {"y", m.output("f32", {rows, k})},
            {"expert", m.output("i32", {rows, k})},
            {"row", m.output("i32", {rows, k})}}}};
}

json attention(Maker& m) {
  const char* const types[] = {"f16", "bf16"};
  const std::string type = types[m.between(0, 1)];
  const int64_t kv_heads = m.between(1, 3), heads = kv_heads * m.between(1, 4), dim = m.between(1, 40),
                batch = m.between(1, 3);
  const int64_t positions = m.chance(80) ? m.between(1, 60) : m.between(250, 600);
  json lengths{{"dtype", "i64"}, {"dims", {batch}}, {"range", {0, positions + 1}}};
  json tensors{{"query", m.input(type, {batch, 1, heads, dim})},
               {"key", {m.input(type, {batch, positions, kv_heads, dim})}},
               {"value", {m.input(type, {batch, positions, kv_heads, dim})}},
               {"lengths", lengths},
               {"y", m.output(type, {batch, 1, heads, dim})}};
  if (m.chance(30)) tensors["mask"] = m.plain("u8", {batch, positions}, 0, 2);
  if (m.chance(30)) tensors["pse"] = m.input(type, {1, heads, 1, positions});
  return {{"op", "incre_flash_attention"},
          {"words", {{"order", "BSND"}}},
          {"tensors", tensors},
          {"numbers", {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", 0.25}}}};
}

struct Sweep {
  const char* name;
  json (*make)(Maker&);
};

class Sweeps : public testing::TestWithParam<Sweep> {};

TEST_P(Sweeps, LieWithinTheBounds) {
  const char* given = std::getenv("TANDEM_SWEEP_CASES");
  const int count = given == nullptr ? 40 : std::atoi(given);
  for (int i = 0; i < count; ++i) {
    Maker maker(static_cast<uint64_t>(i) * 7919 + 1);
    json spec = GetParam().make(maker);
    spec["name"] = std::to_string(i);
    ASSERT_EQ(run_case(parse_case("sweep", spec)), "") << spec.dump();
  }
}

constexpr Sweep kSweeps[] = {{"rms_norm", norm},
                             {"quantize", quantize},
                             {"dequantize", dequantize},
                             {"dynamic_quant", dynamic_quant},
                             {"activation", activation},
                             {"arithmetic", arithmetic},
                             {"swiglu", swiglu},
                             {"softmax", softmax},
                             {"rope", rope},
                             {"matmul", matmul},
                             {"linear", linear},
                             {"quant_matmul", quant_matmul},
                             {"weight_quant_matmul", weight_quant_matmul},
                             {"moe_gating", moe_gating},
                             {"incre_flash_attention", attention}};

INSTANTIATE_TEST_SUITE_P(Ops, Sweeps, testing::ValuesIn(kSweeps),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace tandem::ops_test
