// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/fused_problem.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>

#include "tandem/base/half.h"
#include "tandem/base/int4.h"

namespace tandem::fused {
namespace {

using Value = std::function<double(int64_t row, int64_t col)>;

template <class T>
T read_as(const std::byte* bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void write_as(std::byte* bytes, int64_t index, T value) {
  std::memcpy(bytes + static_cast<size_t>(index) * sizeof(T), &value, sizeof(T));
}

uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// In [0, 1), from the tensor's name and the indices in the global problem.
double uniform(const Problem& problem, const std::string& name, int64_t i, int64_t j) {
  uint64_t hash = mix(problem.seed);
  for (const char c : name) hash = mix(hash ^ static_cast<uint64_t>(c));
  hash = mix(mix(hash ^ static_cast<uint64_t>(i)) ^ static_cast<uint64_t>(j));
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

double between(double unit, double low, double high) { return low + unit * (high - low); }

double whole(double unit, double low, double high) { return std::floor(between(unit, low, high + 1)); }

// Typical magnitudes of a trained layer, so that sums neither overflow f16 nor vanish.
double typical(const Problem& p, const std::string& name, double unit) {
  if (name == "x1") return p.integer() ? whole(unit, -128, 127) : between(unit, -1, 1);
  if (name == "x2" && p.weight == DType::i8) return whole(unit, -128, 127);
  if (name == "x2" && p.weight == DType::i4) return whole(unit, -8, 7);
  if (name == "scale" && p.integer()) return between(unit, 1e-5, 1e-4);
  if (name == "scale") return p.weight == DType::i4 ? between(unit, 0.01, 0.1) : between(unit, 0.001, 0.01);
  if (name == "offset") return p.weight == DType::i4 ? between(unit, -2, 2) : between(unit, -20, 20);
  if (name == "first" || name == "second") return between(unit, 0.05, 0.1);
  if (name == "qscale") return between(unit, 20, 60);
  if (name == "qoffset") return whole(unit, -9, 9);
  if (name == "token") return between(unit, 0.5, 2);
  if (name == "bias" && p.integer()) return whole(unit, -20000, 20000);
  if (name == "gamma") return between(unit, 0.5, 1.5);
  return between(unit, -1, 1);
}

Stored make_stored(DType dtype, int64_t rows, int64_t cols, bool transposed, const Value& value) {
  Stored stored{dtype, rows, cols, transposed ? 1 : cols, transposed ? rows : 1, {}};
  stored.bytes.resize(dtype_bytes(dtype, rows * cols));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      store(dtype, stored.bytes.data(), row * stored.row_step + col * stored.col_step, value(row, col));
    }
  }
  return stored;
}

struct Maker {
  const Problem& problem;
  int rank;

  // `row_base`, `col_base`: place of this rank's block in the global problem.
  Value values(const std::string& name, int64_t row_base, int64_t col_base, int64_t cols) const {
    const auto fill = problem.values.find(name);
    if (fill == problem.values.end()) {
      return [this, name, row_base, col_base](int64_t row, int64_t col) {
        return typical(problem, name, uniform(problem, name, row + row_base, col + col_base));
      };
    }
    const Fill& given = fill->second;
    const double extra = given.by_rank ? rank : 0;
    return [&given, extra, cols](int64_t row, int64_t col) {
      return given.cycle[static_cast<size_t>(row * cols + col) % given.cycle.size()] + extra;
    };
  }

  Stored make(const std::string& name, DType dtype, int64_t rows, int64_t cols, bool transposed = false,
              int64_t row_base = 0, int64_t col_base = 0) const {
    return make_stored(dtype, rows, cols, transposed, values(name, row_base, col_base, cols));
  }

  bool has(const std::string& where) const { return where == "all" || (where == "first" && rank == 0); }
};

void add_scales(const Maker& maker, RankData& data) {
  const Problem& p = maker.problem;
  if (p.scales == "none") return;
  const DType dtype = p.scale_dtype == DType::none ? p.output : p.scale_dtype;
  const int64_t rows = p.groups();
  const int64_t cols = p.scales == "tensor" ? 1 : p.n;
  const int64_t base = p.scales == "group" ? maker.rank * rows : 0;
  const bool transposed = p.scale_transposed && rows > 1;
  data["scale"] = maker.make("scale", dtype, rows, cols, transposed, base);
  if (p.offset && !p.integer()) data["offset"] = maker.make("offset", dtype, rows, cols, transposed, base);
  if (p.token) data["token"] = maker.make("token", DType::f32, 1, p.m);
}

DType parse_dtype(const nlohmann::json& json, const char* key, DType fallback) {
  return json.contains(key) ? dtype_from_name(json.at(key).get<std::string>()) : fallback;
}

Fill parse_fill(const nlohmann::json& json) {
  if (json.is_number()) return {{json.get<double>()}, false};
  if (json.is_array()) return {json.get<std::vector<double>>(), false};
  return {{json.value("add", 0.0)}, true};
}

}  // namespace

double load(DType dtype, const std::byte* bytes, int64_t index) {
  switch (dtype) {
    case DType::f32: return read_as<float>(bytes, index);
    case DType::f16: return to_float(read_as<f16>(bytes, index));
    case DType::bf16: return to_float(read_as<bf16>(bytes, index));
    case DType::i4: return int4_get(reinterpret_cast<const uint8_t*>(bytes), index);
    case DType::i8: return read_as<int8_t>(bytes, index);
    case DType::i32: return read_as<int32_t>(bytes, index);
    // The vendor's hardware reads sign, exponent and ten mantissa bits.
    case DType::i64:
    case DType::u64: return std::bit_cast<float>(static_cast<uint32_t>(read_as<uint64_t>(bytes, index) & 0xffffe000u));
    default: return 0;
  }
}

void store(DType dtype, std::byte* bytes, int64_t index, double value) {
  switch (dtype) {
    case DType::f32: return write_as(bytes, index, static_cast<float>(value));
    case DType::f16: return write_as(bytes, index, to_f16(static_cast<float>(value)));
    case DType::bf16: return write_as(bytes, index, to_bf16(static_cast<float>(value)));
    case DType::i4: return int4_set(reinterpret_cast<uint8_t*>(bytes), index, static_cast<int>(value));
    case DType::i8:
    case DType::u8: return write_as(bytes, index, static_cast<int8_t>(value));
    case DType::i32: return write_as(bytes, index, static_cast<int32_t>(value));
    case DType::i64:
    case DType::u64: return write_as(bytes, index, static_cast<uint64_t>(std::bit_cast<uint32_t>(float(value))));
    default: return;
  }
}

double Stored::at(int64_t row, int64_t col) const { return load(dtype, bytes.data(), row * row_step + col * col_step); }

TensorView Stored::view(std::initializer_list<int64_t> dims) const {
  void* data = const_cast<std::byte*>(bytes.data());
  if (!present()) return {};
  TensorView result = make_tensor(data, dtype, dims);
  if (transposed() && dims.size() == 2) {
    result.stride[0] = row_step;
    result.stride[1] = col_step;
  }
  return result;
}

RankData make_rank(const Problem& p, int rank) {
  const Maker maker{p, rank};
  RankData data;
  data["x1"] = maker.make("x1", p.dtype, p.m, p.k, false, 0, rank * p.k);
  data["x2"] = maker.make("x2", p.weight, p.k, p.n, p.transposed, rank * p.k);
  add_scales(maker, data);
  if (maker.has(p.bias)) data["bias"] = maker.make("bias", p.integer() ? DType::i32 : p.output, 1, p.n, false, rank);
  if (maker.has(p.x3)) data["x3"] = maker.make("x3", p.output, p.m, p.n, false, rank * p.m);
  for (const char* name : {"first", "second"}) {
    if (p.wire) data[name] = maker.make(name, p.output, 1, p.n);
  }
  if (!p.tail) return data;
  data["residual"] = maker.make("residual", p.output, p.m, p.n);
  data["gamma"] = maker.make("gamma", p.output, 1, p.n);
  if (p.quant == "dynamic") data["smooth"] = maker.make("smooth", p.output, 1, p.n);
  if (p.quant != "static") return data;
  data["qscale"] = maker.make("qscale", p.output, 1, p.n);
  data["qoffset"] = maker.make("qoffset", p.output, 1, p.n);
  return data;
}

std::vector<RankData> make_ranks(const Problem& problem) {
  std::vector<RankData> all;
  for (int rank = 0; rank < problem.ranks; ++rank) all.push_back(make_rank(problem, rank));
  return all;
}

const Stored& operand(const RankData& data, const std::string& name) {
  static const Stored absent;
  const auto found = data.find(name);
  return found == data.end() ? absent : found->second;
}

Problem parse_problem(const nlohmann::json& json, const Problem& base) {
  Problem p = base;
  p.ranks = json.value("ranks", p.ranks);
  p.m = json.value("m", p.m);
  p.n = json.value("n", p.n);
  p.k = json.contains("total_k") ? json.at("total_k").get<int64_t>() / p.ranks : json.value("k", p.k);
  p.output = parse_dtype(json, "dtype", p.output);
  p.dtype = parse_dtype(json, "x1_dtype", json.contains("dtype") ? p.output : p.dtype);
  p.weight = parse_dtype(json, "weight", p.weight);
  p.scale_dtype = parse_dtype(json, "scale_dtype", p.scale_dtype);
  p.scales = json.value("scales", p.scales);
  p.group = json.value("group_size", p.group);
  p.transposed = json.value("transposed", p.transposed);
  p.scale_transposed = json.value("scale_transposed", p.scale_transposed);
  p.offset = json.value("offset", p.offset);
  p.token = json.value("token", p.token);
  p.bias = json.value("bias", p.bias);
  p.x3 = json.value("x3", p.x3);
  p.reduction = json.value("reduction", p.reduction);
  p.wire = json.value("wire", p.wire);
  p.quant = json.value("quant", p.quant);
  p.tail = json.value("tail", p.tail);
  p.replicated = json.value("replicated", p.replicated);
  if (json.contains("epsilon") && json.at("epsilon").is_number()) p.epsilon = json.at("epsilon").get<double>();
  p.seed = json.value("seed", p.seed);
  if (!json.contains("values")) return p;
  for (const auto& [name, fill] : json.at("values").items()) p.values[name] = parse_fill(fill);
  return p;
}

std::string Problem::describe() const {
  return fmt::format("R={} m={} k={} n={} {}x{}->{} scales={} group={}{}{}{}{} bias={} x3={} {}{} quant={}{}{}", ranks, m, k, n,
                     dtype_name(dtype), dtype_name(weight), dtype_name(output), scales, group,
                     transposed ? " transposed" : "", scale_transposed ? " scale-transposed" : "",
                     offset ? " offset" : "", token ? " token" : "", bias, x3, reduction, wire ? " wire" : "", quant, tail ? " tail" : "",
                     replicated ? " replicated" : "");
}

}  // namespace tandem::fused
