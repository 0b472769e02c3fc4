// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

constexpr double kV = 0x1p-24;

// The sizes of a decode call, and where its elements lie.
struct Decode {
  const Case& c;
  bool bnsd, head_major, paged;
  int64_t batch, heads, kv_heads, dim, positions;

  explicit Decode(const Case& of) : c(of) {
    const Operand &query = c.operand("query"), &key = c.operand("key");
    const std::string order = c.words.at("order");
    bnsd = order == "BNSD";
    paged = c.has("block_table");
    head_major = bnsd && key.dims.size() == 4;
    batch = query.dims[0];
    heads = static_cast<int64_t>(c.number("heads", 1));
    kv_heads = static_cast<int64_t>(c.number("kv_heads", 0));
    if (kv_heads == 0) kv_heads = heads;
    dim = query.elements() / (batch * heads);
    positions = key.dims[head_major ? 2 : 1];
  }

  int64_t length(int64_t b) const {
    if (!c.has("lengths")) return positions;
    const Operand& lengths = c.operand("lengths");
    return static_cast<int64_t>(lengths.at(lengths.elements() == 1 ? 0 : b));
  }

  double cached(const char* name, int64_t which, int64_t b, int64_t t, int64_t head, int64_t d) const {
    const auto& list = c.operands.at(name);
    const Operand& cache = list[list.size() > 1 ? static_cast<size_t>(b) : 0];
    int64_t block = list.size() > 1 ? 0 : b;
    if (paged) {
      const Operand& table = c.operand("block_table");
      block = static_cast<int64_t>(table.at(b * table.dims[1] + t / positions));
    }
    const int64_t slot = paged ? t % positions : t;
    const int64_t at = head_major ? ((block * kv_heads + head) * positions + slot) * dim + d
                                  : ((block * positions + slot) * kv_heads + head) * dim + d;
    if (!c.has("kv_scale")) return cache.at(at);
    const Operand& scale = c.operand("kv_scale");
    const int64_t place = scale.elements() == 2 ? which : which * kv_heads * dim + head * dim + d;
    return (cache.at(at) + (c.has("kv_offset") ? c.operand("kv_offset").at(place) : 0)) * scale.at(place);
  }

  double score(int64_t b, int64_t h, int64_t t, double& magnitude) const {
    double sum = 0;
    magnitude = 0;
    for (int64_t d = 0; d < dim; ++d) {
      const double term =
          c.operand("query").at((b * heads + h) * dim + d) * cached("key", 0, b, t, h / (heads / kv_heads), d);
      sum += term;
      magnitude += std::fabs(term);
    }
    sum *= c.number("scale", 1);
    magnitude *= std::fabs(c.number("scale", 1));
    if (c.has("pse")) {
      const Operand& pse = c.operand("pse");
      sum += pse.at(((pse.dims[0] == 1 ? 0 : b) * heads + h) * pse.dims[3] + t);
    }
    if (!c.has("mask")) return sum;
    const Operand& mask = c.operand("mask");
    const int64_t columns = mask.dims.back();
    return mask.at((mask.elements() == columns ? 0 : b * columns) + t) != 0 ? -1e12 : sum;
  }
};

}  // namespace

namespace {

// Weights of one head's positions (largest 1), their sum, and the largest sum of magnitudes behind a score.
struct Weights {
  std::vector<double> p;
  double sum = 0, steepest = 0;
};

Weights weights_of(const Decode& decode, int64_t b, int64_t h) {
  Weights w;
  double top = -HUGE_VAL;
  for (int64_t t = 0; t < decode.length(b); ++t) {
    double magnitude = 0;
    w.p.push_back(decode.score(b, h, t, magnitude));
    top = std::max(top, w.p.back());
    w.steepest = std::max(w.steepest, magnitude + std::fabs(w.p.back() > -1e11 ? w.p.back() : 0));
  }
  for (double& score : w.p) {
    score = std::exp(score - top);
    w.sum += score;
  }
  return w;
}

}  // namespace

// |error| <= u |y| + ((e^(2 delta) - 1) + (D + L) v 8) * max|v|, delta = D v * largest sum of |q||k| * scale.
std::map<std::string, Wanted> attention_oracle(const Case& c) {
  const Decode decode(c);
  const Operand& y = c.operand("y");
  Wanted wanted;
  Weights weights;
  for (int64_t i = 0; i < y.elements(); ++i) {
    const int64_t d = i % decode.dim, h = i / decode.dim % decode.heads, b = i / decode.dim / decode.heads;
    const int64_t length = decode.length(b);
    if (d == 0) weights = weights_of(decode, b, h);
    double value = 0, largest = 0;
    for (int64_t t = 0; t < length; ++t) {
      const double v = decode.cached("value", 1, b, t, h / (decode.heads / decode.kv_heads), d);
      value += weights.p[static_cast<size_t>(t)] * v;
      largest = std::max(largest, std::fabs(v));
    }
    if (length > 0) value /= weights.sum;
    const double delta = static_cast<double>(decode.dim + 4) * kV * weights.steepest;
    double bound = unit_of(y.dtype) * std::fabs(value) * 1.05 + 0x1p-24 +
                   (std::expm1(2 * delta) + static_cast<double>(decode.dim + length) * kV * 8) * largest;
    if (y.dtype == DType::i8) {
      const double offset = c.has("y_offset") ? c.operand("y_offset").at(0) : 0;
      value = std::clamp(std::nearbyint(value * c.operand("y_scale").at(0) + offset), -128.0, 127.0);
      bound = 1;
    }
    wanted.values.push_back(value);
    wanted.bounds.push_back(bound);
  }
  return {{"y", wanted}};
}

std::map<std::string, Wanted> reshape_and_cache_oracle(const Case& c) {
  std::map<std::string, Wanted> wanted;
  for (const auto& [from, to] : {std::pair{"key", "key_cache"}, {"value", "value_cache"}}) {
    const Operand& rows = c.operand(from);
    Wanted cache{c.operand(to).values(), {}};
    const int64_t n = rows.dims[1] * rows.dims[2];
    for (int64_t i = 0; i < rows.elements(); ++i) {
      const auto slot = static_cast<int64_t>(c.operand("slot").at(i / n));
      if (slot >= 0) cache.values[static_cast<size_t>(slot * n + i % n)] = rows.at(i);
    }
    cache.bounds.assign(cache.values.size(), 0);
    wanted[to] = cache;
  }
  return wanted;
}

}  // namespace tandem::check
