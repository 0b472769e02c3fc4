// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

constexpr double kV = 0x1p-24;

// The sizes of a call, and where its elements lie.
struct Attention {
  const Case& c;
  bool bnsd, ragged, head_major, paged;
  int64_t batch, tokens, heads, kv_heads, dim, positions;

  explicit Attention(const Case& of) : c(of) {
    const Operand &query = c.operand("query"), &key = c.operand("key");
    const std::string order = c.words.at("order");
    bnsd = order == "BNSD";
    ragged = order == "TND";
    paged = c.has("block_table");
    head_major = bnsd && key.dims.size() == 4;
    batch = ragged ? c.operand("query_lengths").elements() : query.dims[0];
    tokens = query.dims[ragged ? 0 : bnsd ? 2 : 1];
    heads = static_cast<int64_t>(c.number("heads", 1));
    kv_heads = static_cast<int64_t>(c.number("kv_heads", 0));
    if (kv_heads == 0) kv_heads = heads;
    dim = query.elements() / (heads * (ragged ? tokens : batch * tokens));
    positions = key.dims[head_major ? 2 : ragged && !paged ? 0 : 1];
  }

  // Of a list with one value for all, or ends of sequences (from the end of the one before).
  int64_t given(const char* name, int64_t b, bool ends) const {
    const Operand& lengths = c.operand(name);
    const auto at = [&](int64_t i) { return static_cast<int64_t>(lengths.at(lengths.elements() == 1 ? 0 : i)); };
    return ends && b > 0 ? at(b) - at(b - 1) : at(b);
  }
  int64_t query_length(int64_t b) const { return c.has("query_lengths") ? given("query_lengths", b, ragged) : tokens; }
  int64_t length(int64_t b) const { return c.has("lengths") ? given("lengths", b, ragged && !paged) : positions; }
  int64_t seen(int64_t b, int64_t s) const {
    const int64_t all = length(b), own = query_length(b);
    const auto word = c.words.find("causal");
    if (s >= own) return 0;
    if (word == c.words.end() || word->second == "none") return all;
    return std::clamp<int64_t>(s + 1 + (word->second == "right_down" ? all - own : 0), 0, all);
  }

  struct Place {
    int64_t b, s, h, d;
  };
  Place place(int64_t i) const {
    const int64_t d = i % dim, rest = i / dim;
    if (bnsd) return {rest / tokens / heads, rest % tokens, rest / tokens % heads, d};
    const int64_t h = rest % heads, token = rest / heads;
    if (!ragged) return {token / tokens, token % tokens, h, d};
    int64_t b = 0, first = 0;
    while (b + 1 < batch && token >= first + query_length(b)) first += query_length(b++);
    return {b, token - first, h, d};
  }

  double cached(const char* name, int64_t which, int64_t b, int64_t t, int64_t head, int64_t d) const {
    const auto& list = c.operands.at(name);
    if (ragged && !paged) {
      const int64_t first = b == 0 ? 0 : static_cast<int64_t>(c.operand("lengths").at(b - 1));
      return list[0].at(((first + t) * kv_heads + head) * dim + d);
    }
    const int64_t each = list[0].dims[0];
    const Operand& cache = list[list.size() > 1 ? static_cast<size_t>(b / each) : 0];
    int64_t block = b % each;
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

  // `first`: the element of query where the head of `at` begins.
  double score(int64_t first, const Place& at, int64_t t, double& magnitude) const {
    double sum = 0;
    magnitude = 0;
    for (int64_t d = 0; d < dim; ++d) {
      const double term = c.operand("query").at(first + d) * cached("key", 0, at.b, t, at.h / (heads / kv_heads), d);
      sum += term;
      magnitude += std::fabs(term);
    }
    sum *= c.number("scale", 1);
    magnitude *= std::fabs(c.number("scale", 1));
    if (c.has("pse")) {
      const Operand& pse = c.operand("pse");
      sum += pse.at((((pse.dims[0] == 1 ? 0 : at.b) * heads + at.h) * tokens + at.s) * pse.dims[3] + t);
    }
    if (!c.has("mask")) return sum;
    const Operand& mask = c.operand("mask");
    const int64_t columns = mask.dims.back(), own = mask.elements() == columns * tokens ? 0 : at.b;
    return mask.at((own * tokens + at.s) * columns + t) != 0 ? -1e12 : sum;
  }
};

// Weights of one head's positions (largest 1), their sum, and the largest sum of magnitudes behind a score.
struct Weights {
  std::vector<double> p;
  double sum = 0, steepest = 0;
};

Weights weights_of(const Attention& all, int64_t first, const Attention::Place& at) {
  Weights w;
  double top = -HUGE_VAL;
  for (int64_t t = 0; t < all.seen(at.b, at.s); ++t) {
    double magnitude = 0;
    w.p.push_back(all.score(first, at, t, magnitude));
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
  const Attention all(c);
  const Operand& y = c.operand("y");
  Wanted wanted;
  Weights weights;
  for (int64_t i = 0; i < y.elements(); ++i) {
    const Attention::Place at = all.place(i);
    const int64_t length = all.seen(at.b, at.s);
    if (at.d == 0) weights = weights_of(all, i, at);
    double value = 0, largest = 0;
    for (int64_t t = 0; t < length; ++t) {
      const double v = all.cached("value", 1, at.b, t, at.h / (all.heads / all.kv_heads), at.d);
      value += weights.p[static_cast<size_t>(t)] * v;
      largest = std::max(largest, std::fabs(v));
    }
    if (length > 0) value /= weights.sum;
    const double delta = static_cast<double>(all.dim + 4) * kV * weights.steepest;
    double bound = unit_of(y.dtype) * std::fabs(value) * 1.05 + 0x1p-24 +
                   (std::expm1(2 * delta) + static_cast<double>(all.dim + length) * kV * 8) * largest;
    if (y.dtype == DType::i8) {
      const auto column = [&](const char* name) {
        const Operand& values = c.operand(name);
        return values.at(values.elements() == 1 ? 0 : at.h * all.dim + at.d);
      };
      const double offset = c.has("y_offset") ? column("y_offset") : 0;
      value = std::clamp(std::nearbyint(value * column("y_scale") + offset), -128.0, 127.0);
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

std::map<std::string, Wanted> paged_cache_load_oracle(const Case& c) {
  std::map<std::string, Wanted> wanted;
  const Operand &table = c.operand("block_table"), &lengths = c.operand("context");
  const bool ends = c.number("ends", 0) != 0;
  for (const auto& [from, to] : {std::pair{"key_cache", "key"}, {"value_cache", "value"}}) {
    const Operand& cache = c.operand(from);
    const int64_t size = cache.dims[1], n = cache.dims[2] * cache.dims[3];
    Wanted rows{c.operand(to).values(), {}};
    int64_t row = 0;
    for (int64_t b = 0; b < lengths.elements(); ++b) {
      const auto length = static_cast<int64_t>(lengths.at(b)) - (ends ? row : 0);
      for (int64_t t = 0; t < length; ++t, ++row) {
        const auto block = static_cast<int64_t>(table.at(b * table.dims[1] + t / size));
        for (int64_t i = 0; i < n; ++i)
          rows.values[static_cast<size_t>(row * n + i)] = cache.at((block * size + t % size) * n + i);
      }
    }
    rows.bounds.assign(rows.values.size(), 0);
    wanted[to] = rows;
  }
  return wanted;
}

}  // namespace tandem::check
