// SPDX-License-Identifier: Apache-2.0
#include "tests/ops/properties.h"

#include <aclnn/acl_meta.h>

#include <algorithm>
#include <cmath>

#include "tests/group_a/vendor.h"
#include "tests/ops/case.h"

namespace tandem::ops_test {
namespace {

using nlohmann::json;

json tensor(const char* dtype, std::vector<int64_t> dims) { return {{"dtype", dtype}, {"dims", dims}}; }
json values(const char* dtype, std::vector<int64_t> dims, std::vector<double> all) {
  return {{"dtype", dtype}, {"dims", dims}, {"values", all}};
}
json output(const char* dtype, std::vector<int64_t> dims) {
  return {{"dtype", dtype}, {"dims", dims}, {"output", true}};
}

// Results of a call that has to succeed, as numbers.
std::map<std::string, std::vector<double>> results_of(const std::string& op, const json& tensors,
                                                      const json& numbers = {}) {
  json spec{{"name", op}, {"op", op}, {"tensors", tensors}};
  if (!numbers.is_null()) spec["numbers"] = numbers;
  const Case c = parse_case("property", spec);
  const Outcome outcome = find_operator(op).call(c);
  std::map<std::string, std::vector<double>> results;
  for (const auto& [name, bytes] : outcome.results) {
    Operand o = c.operand(name);
    o.bytes = bytes.front();
    results[name] = o.values();
  }
  return results;
}

// D2: descriptors of more than eight dimensions are refused where they are made.
std::string nine_dimensions() {
  const std::vector<int64_t> dims(9, 1);
  const aclTensor* made =
      aclCreateTensor(dims.data(), 9, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND, dims.data(), 9, nullptr);
  return made == nullptr ? "" : "a tensor of nine dimensions was made";
}

std::vector<double> turned_by(double position, const std::vector<double>& x) {
  std::vector<double> cos, sin;
  for (const double frequency : {1.0, 0.01, 1.0, 0.01}) {
    cos.push_back(std::cos(position * frequency));
    sin.push_back(std::sin(position * frequency));
  }
  return results_of("rope", {{"query", values("f32", {1, 1, 4}, x)},
                             {"cos", values("f32", {1, 4}, cos)},
                             {"sin", values("f32", {1, 4}, sin)}})
      .at("query");
}

// D14: the norm of each pair stays.
std::string rope_keeps_norms() {
  const std::vector<double> x{1, 2, 3, 4}, y = turned_by(7, x);
  for (size_t i = 0; i < 2; ++i) {
    const double before = std::hypot(x[i], x[i + 2]), after = std::hypot(y[i], y[i + 2]);
    if (std::fabs(before - after) > 1e-6 * before) return fmt::format("pair {} has norm {} after {}", i, after, before);
  }
  return {};
}

// D17: rope(q, a) . rope(k, b) depends on a - b only.
std::string rope_is_relative() {
  const std::vector<double> q{1, -2, 0.5, 4}, k{0.25, 3, -1, 2};
  const auto dot = [&](double a, double b) {
    const auto x = turned_by(a, q), y = turned_by(b, k);
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
  };
  const double first = dot(3, 1), second = dot(12, 10), other = dot(12, 11);
  if (std::fabs(first - second) > 1e-5 * std::fabs(first)) return fmt::format("{} and {}", first, second);
  return std::fabs(first - other) > 1e-3 ? "" : "other differences give the same product";
}

// D35: the largest magnitude of a row is 127; -128 never comes.
std::string dynamic_range() {
  const auto results = results_of(
      "dynamic_quant", {{"x", tensor("f16", {64, 33})}, {"y", output("i8", {64, 33})}, {"scale", output("f32", {64})}});
  const auto& y = results.at("y");
  for (size_t row = 0; row < 64; ++row) {
    double most = 0;
    for (size_t i = 0; i < 33; ++i) most = std::max(most, std::fabs(y[row * 33 + i]));
    if (most != 127) return fmt::format("row {} reaches {}", row, most);
  }
  return {};
}

// D36: the error of a value is at most half a step.
std::string dynamic_error() {
  const json x = tensor("f16", {64, 33});
  const Case c = parse_case("property", {{"name", "dynamic_quant"}, {"op", "dynamic_quant"}, {"tensors", {{"x", x}}}});
  const auto results =
      results_of("dynamic_quant", {{"x", x}, {"y", output("i8", {64, 33})}, {"scale", output("f32", {64})}});
  for (int64_t i = 0; i < 64 * 33; ++i) {
    const double scale = results.at("scale")[static_cast<size_t>(i / 33)];
    const double error = std::fabs(results.at("y")[static_cast<size_t>(i)] * scale - c.operand("x").at(i));
    if (error > scale / 2 * (1 + 0x1p-10)) return fmt::format("element {} is {} off, a step is {}", i, error, scale);
  }
  return {};
}

// D37: smooth = 2 doubles the scales and changes no integer.
std::string smooth_doubles() {
  json call{{"x", tensor("f16", {16, 40})}, {"y", output("i8", {16, 40})}, {"scale", output("f32", {16})}};
  const auto plain = results_of("dynamic_quant", call);
  call["smooth"] = values("f16", {40}, {2});
  const auto smooth = results_of("dynamic_quant", call);
  if (plain.at("y") != smooth.at("y")) return "y changed";
  for (size_t i = 0; i < 16; ++i) {
    if (smooth.at("scale")[i] != 2 * plain.at("scale")[i]) return fmt::format("scale {} is not doubled", i);
  }
  return {};
}

// A decode call of one sequence over a paged cache; `cache` may name other values.
std::map<std::string, std::vector<double>> decode(int64_t heads, int64_t kv_heads, const json& key, const json& value,
                                                  const std::vector<double>& blocks, double length) {
  const auto count = static_cast<int64_t>(blocks.size());
  const Case call = parse_case("property", {{"name", "decode"},
                                            {"op", "incre_flash_attention"},
                                            {"words", {{"order", "BSND"}}},
                                            {"numbers", {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", 0.5}}},
                                            {"tensors",
                                             {{"query", tensor("f16", {1, 1, heads, 8})},
                                              {"key", {key}},
                                              {"value", {value}},
                                              {"block_table", values("i32", {1, count}, blocks)},
                                              {"lengths", values("i64", {1}, {length})},
                                              {"y", output("f16", {1, 1, heads, 8})}}}});
  const Outcome outcome = find_operator("incre_flash_attention").call(call);
  Operand y = call.operand("y");
  if (outcome.status == 0) y.bytes = outcome.results.at("y").front();
  return {{"y", y.values()}};
}

std::vector<double> numbers_of(int64_t count) {
  std::vector<double> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(std::sin(1.7 * static_cast<double>(i)));
  return all;
}

// D42: 32 heads over 8 are the heads over each of those repeated four times.
std::string grouped_heads() {
  const std::vector<double> kv = numbers_of(32 * 8 * 8);
  std::vector<double> repeated;
  for (int64_t t = 0; t < 32; ++t) {
    for (int64_t h = 0; h < 32; ++h)
      repeated.insert(repeated.end(), kv.begin() + (t * 8 + h / 4) * 8, kv.begin() + (t * 8 + h / 4) * 8 + 8);
  }
  const json few = values("f16", {2, 16, 8, 8}, kv), many = values("f16", {2, 16, 32, 8}, repeated);
  const auto a = decode(32, 8, few, few, {1, 0}, 29), b = decode(32, 32, many, many, {1, 0}, 29);
  return a == b ? "" : "other bits with repeated heads";
}

// D44: blocks in another order of the cache.
std::string permuted_blocks() {
  const std::vector<double> kv = numbers_of(3 * 16 * 2 * 8);
  const auto block = [&](int64_t i) { return std::vector<double>(kv.begin() + i * 256, kv.begin() + (i + 1) * 256); };
  std::vector<double> moved = block(2);
  for (const int64_t i : {0, 1}) {
    const auto one = block(i);
    moved.insert(moved.end(), one.begin(), one.end());
  }
  const json first = values("f16", {3, 16, 2, 8}, kv), second = values("f16", {3, 16, 2, 8}, moved);
  const auto a = decode(4, 2, first, first, {0, 1, 2}, 41), b = decode(4, 2, second, second, {1, 2, 0}, 41);
  return a == b ? "" : "other bits with permuted blocks";
}

// D50: what lies behind the length does not reach the result.
std::string unread_slots() {
  std::vector<double> clean = numbers_of(16 * 2 * 8), dirty = clean;
  std::vector<json> all(dirty.begin(), dirty.end());
  for (size_t i = 13 * 16; i < all.size(); ++i) all[i] = "nan";
  const json first = values("f16", {1, 16, 2, 8}, clean),
             second{{"dtype", "f16"}, {"dims", {1, 16, 2, 8}}, {"values", all}};
  const auto a = decode(4, 2, first, first, {0}, 13), b = decode(4, 2, second, second, {0}, 13);
  return a == b ? "" : "values behind the length were read";
}

// D58: a row of a product has the bits of the one-row product.
std::string gemv_is_a_row() {
  const json weight = tensor("f16", {48, 40});
  const auto all = results_of("matmul", {{"a", values("f16", {5, 48}, {0.3, -1.7, 2.2, 0.9, -0.4, 1.1, 3.3})},
                                         {"b", weight},
                                         {"y", output("f16", {5, 40})}})
                       .at("y");
  for (int64_t row = 0; row < 5; ++row) {
    const std::vector<double> cycle{0.3, -1.7, 2.2, 0.9, -0.4, 1.1, 3.3};
    std::vector<double> x;
    for (int64_t i = row * 48; i < row * 48 + 48; ++i) x.push_back(cycle[static_cast<size_t>(i % 7)]);
    const auto one =
        results_of("matmul", {{"a", values("f16", {48}, x)}, {"b", weight}, {"y", output("f16", {40})}}).at("y");
    if (!std::equal(one.begin(), one.end(), all.begin() + row * 40)) return fmt::format("row {} differs", row);
  }
  return {};
}

// D68: the integer product with its corrected bias is the float product within half a step of each factor.
std::string static_w8a8() {
  constexpr int64_t kDepth = 16;
  const double s = 0.011, z = -5, sw = 0.02;
  std::vector<double> x, w, xq, wq;
  double exact = 0, bound = 0, sum = 0;
  for (int64_t i = 0; i < kDepth; ++i) {
    x.push_back(std::sin(static_cast<double>(i)));
    w.push_back(std::cos(3.0 * static_cast<double>(i)));
    xq.push_back(std::clamp(std::nearbyint(x.back() / s + z), -128.0, 127.0));
    wq.push_back(std::nearbyint(w.back() / sw));
    exact += x.back() * w.back();
    bound += s / 2 * std::fabs(wq.back() * sw) + sw / 2 * std::fabs(x.back());
    sum += wq.back();
  }
  const auto y = results_of("quant_matmul", {{"x1", values("i8", {1, kDepth}, xq)},
                                             {"x2", values("i8", {kDepth, 1}, wq)},
                                             {"bias", values("i32", {1}, {std::nearbyint(-z * sum)})},
                                             {"scale", values("f32", {1}, {s * sw})},
                                             {"y", output("f32", {1, 1})}})
                     .at("y");
  return std::fabs(y[0] - exact) <= bound + 1e-5 ? "" : fmt::format("{}, {} +- {} wanted", y[0], exact, bound);
}

}  // namespace

const std::vector<Property>& properties() {
  static const std::vector<Property> kAll = {
      {"D2", nine_dimensions}, {"D14", rope_keeps_norms}, {"D17", rope_is_relative}, {"D35", dynamic_range},
      {"D36", dynamic_error},  {"D37", smooth_doubles},   {"D42", grouped_heads},    {"D44", permuted_blocks},
      {"D50", unread_slots},   {"D58", gemv_is_a_row},    {"D68", static_w8a8}};
  return kAll;
}

}  // namespace tandem::ops_test
