// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace tandem::check {
namespace {

constexpr double kV = 0x1p-24;

double low_of(DType dtype) { return dtype == DType::i4 ? -8 : -128; }
double high_of(DType dtype) { return dtype == DType::i4 ? 7 : 127; }

// Value of a row operand (or of one for all) in column c; `absent` where there is none.
double column(const Case& c, const std::string& name, int64_t index, double absent) {
  if (!c.has(name)) return absent;
  const Operand& o = c.operand(name);
  return o.at(o.elements() == 1 ? 0 : index % o.elements());
}

}  // namespace

double unit_of(DType dtype) { return dtype == DType::f16 ? 0x1p-11 : dtype == DType::bf16 ? 0x1p-8 : kV; }

double rounding(DType dtype, double value) {
  const double tiny = dtype == DType::f16 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-133 : 0x1p-149;
  return 1.05 * unit_of(dtype) * std::fabs(value) + tiny;
}

void push_rounded(Wanted& wanted, double v, double low, double high, double slack) {
  if (std::isnan(v)) v = 0;
  const double clamped = std::clamp(v, low, high);
  const double distance = std::fabs(std::fabs(clamped - std::floor(clamped)) - 0.5);
  wanted.values.push_back(std::nearbyint(clamped));
  wanted.bounds.push_back(distance <= slack ? std::max(1.0, std::ceil(2 * slack)) : 0.0);
}

bool within(DType dtype, double got, double wanted, double bound) {
  if ((std::isnan(got) && std::isnan(wanted)) || got == wanted) return true;
  const double most = dtype == DType::f16 ? 65504 : 3.3895e38;
  if (std::isinf(got) && std::fabs(wanted) + bound >= most && std::signbit(got) == std::signbit(wanted)) return true;
  return std::fabs(got - wanted) <= bound;
}

std::string compare(const std::string& name, const Operand& got, const Wanted& wanted) {
  if (static_cast<size_t>(got.elements()) != wanted.values.size()) return name + " has another number of elements";
  for (int64_t i = 0; i < got.elements(); ++i) {
    const double value = got.at(i), right = wanted.values[static_cast<size_t>(i)],
                 bound = wanted.bounds[static_cast<size_t>(i)];
    if (!within(got.dtype, value, right, bound))
      return fmt::format("{}[{}] = {}, {} +- {} wanted", name, i, value, right, bound);
  }
  return {};
}

std::map<std::string, Wanted> rms_norm_oracle(const Case& c) {
  const Operand& x = c.operand("x");
  const int64_t n = c.operand("gamma").elements();
  const double u = unit_of(c.operand("y").dtype), size = static_cast<double>(n);
  std::map<std::string, Wanted> wanted;
  for (int64_t first = 0; n > 0 && first < x.elements(); first += n) {
    std::vector<double> sum, bound;
    double squares = 0, errors = 0;
    for (int64_t i = first; i < first + n; ++i) {
      sum.push_back(x.at(i) + (c.has("residual") ? c.operand("residual").at(i) : 0));
      bound.push_back(c.has("residual") ? rounding(x.dtype, sum.back()) + kV * std::fabs(sum.back()) : 0);
      squares += sum.back() * sum.back();
      errors += bound.back() * bound.back();
    }
    const double rms = std::sqrt(squares / size + c.number("epsilon", 1e-6)), spread = std::sqrt(errors / size);
    wanted["rstd"].values.push_back(1 / rms);
    wanted["rstd"].bounds.push_back((spread / rms + (size + 8) * kV) / rms * 1.05);
    for (int64_t i = 0; i < n; ++i) {
      const double s = sum[static_cast<size_t>(i)], e = bound[static_cast<size_t>(i)], gamma = c.operand("gamma").at(i);
      const double value = s / rms * gamma;
      const double error = std::fabs(gamma) * (e / rms + std::fabs(s) / (rms * rms) * spread) +
                           (u + 0x1p-21 + (size + 8) * kV) * std::fabs(value);
      wanted["y"].values.push_back(value);
      // y * rstd may be subnormal, and gamma scales its rounding.
      const double subnormal = 0x1p-150 * std::fabs(gamma);
      wanted["y"].bounds.push_back(1.05 * error + subnormal + rounding(c.operand("y").dtype, 0));
      wanted["sum"].values.push_back(s);
      wanted["sum"].bounds.push_back(e);
    }
  }
  return wanted;
}

std::map<std::string, Wanted> quantize_oracle(const Case& c) {
  const Operand& x = c.operand("x");
  const DType type = c.operand("y").dtype;
  const bool divide = c.number("divide", 0) != 0, square = c.number("square", 0) != 0;
  const auto mode = c.words.find("rounding");
  std::map<std::string, Wanted> wanted;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t col = i % x.dims.back();
    double scale = column(c, "scale", col, 1);
    if (square) scale *= scale;
    const double product = divide ? x.at(i) / scale : x.at(i) * scale, v = product + column(c, "offset", col, 0);
    const double slack = 4 * kV * (std::fabs(product) + std::fabs(v)) + 0x1p-20 * std::fabs(v);
    if (mode == c.words.end() || mode->second == "round") {
      push_rounded(wanted["y"], v, low_of(type), high_of(type), slack);
      continue;
    }
    const double held = std::clamp(std::isnan(v) ? 0 : v, low_of(type), high_of(type));
    const double down = std::floor(held), up = std::ceil(held);
    wanted["y"].values.push_back(mode->second == "floor" ? down : mode->second == "ceil" ? up : std::trunc(held));
    wanted["y"].bounds.push_back(std::fabs(held - std::nearbyint(held)) <= slack && down != up ? 1 : 0);
  }
  return wanted;
}

std::map<std::string, Wanted> dequantize_oracle(const Case& c) {
  const Operand& x = c.operand("x");
  Wanted y;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t col = i % x.dims.back();
    const double scale = column(c, "scale", col, 1), shifted = x.at(i) + column(c, "offset", col, 0);
    y.values.push_back(shifted * scale * (c.number("square", 0) != 0 ? scale : 1));
    const double lost = kV * (std::fabs(x.at(i)) + std::fabs(shifted)) * std::fabs(scale);
    y.bounds.push_back(rounding(c.operand("y").dtype, y.values.back()) + 4 * kV * std::fabs(y.values.back()) + lost);
  }
  return {{"y", y}};
}

namespace {

int64_t group_of(const Case& c, int64_t row) {
  if (!c.has("group")) return 0;
  const Operand& group = c.operand("group");
  int64_t index = 0;
  while (index < group.elements() && static_cast<double>(row) >= group.at(index)) ++index;
  return index;
}

}  // namespace

std::map<std::string, Wanted> dynamic_quant_oracle(const Case& c) {
  const Operand& x = c.operand("x");
  const DType type = c.operand("y").dtype;
  const double top = high_of(type), steps = type == DType::i4 ? 15 : 255;
  const int64_t n = x.dims.back();
  std::map<std::string, Wanted> wanted;
  for (int64_t first = 0, row = 0; first < x.elements(); first += n, ++row) {
    std::vector<double> v;
    for (int64_t i = 0; i < n; ++i) {
      const double smooth = c.has("smooth") ? c.operand("smooth").at(group_of(c, row) * n + i) : 1;
      v.push_back(static_cast<double>(static_cast<float>(x.at(first + i)) * static_cast<float>(smooth)));
    }
    if (std::any_of(v.begin(), v.end(), [](double value) { return std::isnan(value); })) {
      for (const char* name : {"scale", "offset"}) wanted[name].values.push_back(NAN), wanted[name].bounds.push_back(0);
      wanted["y"].values.insert(wanted["y"].values.end(), v.size(), 0);
      wanted["y"].bounds.insert(wanted["y"].bounds.end(), v.size(), 0);
      continue;
    }
    const auto [least, most] = std::minmax_element(v.begin(), v.end());
    const bool asymmetric = c.has("offset");
    const double symmetric = std::max(std::fabs(*least), std::fabs(*most)) / top;
    const double scale = asymmetric ? std::max((*most - *least) / steps, 1e-12) : symmetric;
    const double offset = !asymmetric ? 0 : std::isinf(scale) ? NAN : top - *most / scale;
    wanted["scale"].values.push_back(scale);
    wanted["scale"].bounds.push_back(0x1p-22 * scale);
    wanted["offset"].values.push_back(offset);
    wanted["offset"].bounds.push_back(0x1p-20 * (std::fabs(*most / scale) + top));
    for (const double value : v) {
      const double q = scale == 0 || std::isinf(scale) ? 0 : value / scale + offset;
      push_rounded(wanted["y"], q, low_of(type), high_of(type), 0x1p-20 * (std::fabs(q) + std::fabs(offset) + top));
    }
  }
  return wanted;
}

std::map<std::string, Wanted> cast_oracle(const Case& c) {
  Wanted y;
  for (const double value : c.operand("x").values()) {
    y.values.push_back(value);
    y.bounds.push_back(rounding(c.operand("y").dtype, value));
  }
  return {{"y", y}};
}

std::map<std::string, Wanted> activation_oracle(const Case& c) {
  const std::string op = c.words.at("op");
  Wanted y;
  for (const double x : c.operand("x").values()) {
    const double inner = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    const double value = op == "silu"   ? x / (1 + std::exp(-x))
                         : op == "gelu" ? x / (1 + std::exp(-2 * inner))
                                        : x * c.number("alpha", 1);
    y.values.push_back(value);
    const double through = op == "scale" ? 0 : kV * (16 + 8 * std::fabs(op == "gelu" ? inner : x)) * std::fabs(value);
    y.bounds.push_back(rounding(c.operand("y").dtype, value) + through + 2 * kV * std::fabs(value));
  }
  return {{"y", y}};
}

namespace {

// The element of `o` that element `index` of a tensor of `dims` sees when `o` is broadcast to it.
double broadcast_at(const Operand& o, const std::vector<int64_t>& dims, int64_t index) {
  int64_t at = 0, stride = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t axis = dims.size() - 1 - i;
    const int64_t place = index % dims[axis];
    index /= dims[axis];
    if (i >= o.dims.size()) continue;
    const int64_t size = o.dims[o.dims.size() - 1 - i];
    at += (size == 1 ? 0 : place) * stride;
    stride *= size;
  }
  return o.at(at);
}

}  // namespace

std::map<std::string, Wanted> arithmetic_oracle(const Case& c) {
  const std::string op = c.words.at("op");
  const Operand& y = c.operand("y");
  Wanted wanted;
  for (int64_t i = 0; i < y.elements(); ++i) {
    const double a = broadcast_at(c.operand("a"), y.dims, i);
    const double full = broadcast_at(c.operand("b"), y.dims, i) * c.number("alpha", 1);
    const double value = op == "add" ? a + full : op == "subtract" ? a - full : op == "multiply" ? a * full : a / full;
    wanted.values.push_back(value);
    const double scaled = c.number("alpha", 1) == 1 ? 0 : rounding(y.dtype, full);
    wanted.bounds.push_back(rounding(y.dtype, value) + kV * (std::fabs(value) + std::fabs(full)) + 1.1 * scaled);
  }
  return {{"y", wanted}};
}

std::map<std::string, Wanted> swiglu_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &y = c.operand("y");
  const auto axis =
      static_cast<size_t>(static_cast<int64_t>(c.number("dim", -1)) < 0
                              ? static_cast<int64_t>(x.dims.size()) + static_cast<int64_t>(c.number("dim", -1))
                              : static_cast<int64_t>(c.number("dim", -1)));
  int64_t inner = y.dims[axis];
  for (size_t i = axis + 1; i < y.dims.size(); ++i) inner *= y.dims[i];
  Wanted wanted;
  for (int64_t i = 0; i < y.elements(); ++i) {
    const int64_t at = i / inner * 2 * inner + i % inner;
    const double gate = x.at(at), value = gate / (1 + std::exp(-gate)) * x.at(at + inner);
    wanted.values.push_back(value);
    wanted.bounds.push_back(rounding(y.dtype, value) + kV * (16 + 8 * std::fabs(gate)) * std::fabs(value));
  }
  return {{"y", wanted}};
}

std::map<std::string, Wanted> softmax_oracle(const Case& c) {
  const Operand& x = c.operand("x");
  const auto rank = static_cast<int64_t>(x.dims.size()), dim = static_cast<int64_t>(c.number("dim", -1));
  const auto axis = static_cast<size_t>(dim < 0 ? dim + rank : dim);
  int64_t inner = 1;
  for (size_t i = axis + 1; i < x.dims.size(); ++i) inner *= x.dims[i];
  const int64_t n = x.dims[axis];
  Wanted wanted{std::vector<double>(static_cast<size_t>(x.elements())),
                std::vector<double>(static_cast<size_t>(x.elements()))};
  for (int64_t i = 0; i < x.elements() / n; ++i) {
    const int64_t first = i / inner * inner * n + i % inner;
    double top = -HUGE_VAL, sum = 0;
    for (int64_t k = 0; k < n; ++k) top = std::max(top, x.at(first + k * inner));
    for (int64_t k = 0; k < n; ++k) sum += std::exp(x.at(first + k * inner) - top);
    for (int64_t k = 0; k < n; ++k) {
      const auto at = static_cast<size_t>(first + k * inner);
      const double distance = top - x.at(first + k * inner);
      wanted.values[at] = std::exp(-distance) / sum;
      wanted.bounds[at] =
          rounding(x.dtype, wanted.values[at]) + kV * (static_cast<double>(n) + 16 + 4 * distance) * wanted.values[at];
    }
  }
  return {{"y", wanted}};
}

namespace {

Wanted turned(const Case& c, const Operand& x) {
  const Operand &cos = c.operand("cos"), &sin = c.operand("sin");
  const auto form = c.words.find("form");
  const std::string mode = form == c.words.end() ? "half" : form->second;
  const int64_t dim = cos.dims.back(), rows = cos.elements() / dim, in_row = x.elements() / rows;
  Wanted wanted;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t d = i % dim, head = i - d, width = mode == "half" ? dim : mode == "quarter" ? dim / 2 : 2;
    const int64_t base = d / width * width, in = d % width, other = base + (in + width / 2) % width;
    const double sign = in < width / 2 ? -1 : 1;
    const double a = x.at(i) * cos.at(i / in_row * dim + d),
                 b = sign * x.at(head + other) * sin.at(i / in_row * dim + d);
    wanted.values.push_back(a + b);
    wanted.bounds.push_back(rounding(x.dtype, a + b) + 2 * kV * (std::fabs(a) + std::fabs(b)));
  }
  return wanted;
}

}  // namespace

std::map<std::string, Wanted> rope_oracle(const Case& c) {
  std::map<std::string, Wanted> wanted;
  if (c.has("query_out")) {
    wanted["query_out"] = turned(c, c.operand("query"));
  } else {
    wanted["query"] = turned(c, c.operand("query"));
  }
  if (c.has("key")) wanted["key"] = turned(c, c.operand("key"));
  return wanted;
}

}  // namespace tandem::check
