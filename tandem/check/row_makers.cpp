// SPDX-License-Identifier: Apache-2.0
// Random cases of the norms, the quantisers and what works element by element.
#include "tandem/check/maker.h"

namespace tandem::check {
namespace {

using nlohmann::json;

double epsilon(Maker& m) { return m.chance(50) ? 1e-6 : m.chance(50) ? 1e-5 : 0.25; }

json rms_norm(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  Dims ones = dims;
  ones.back() = 1;
  json tensors{{"x", m.wild(type, dims)},
               {"gamma", m.input(type, {n})},
               {"y", m.output(type, dims)},
               {"rstd", m.output("f32", ones)}};
  if (m.chance(60)) tensors["residual"] = m.input(type, dims), tensors["sum"] = m.output(type, dims);
  return {{"op", "rms_norm"}, {"numbers", {{"epsilon", epsilon(m)}}}, {"tensors", tensors}};
}

json layer_norm(Maker& m) {
  const std::string type = m.float_type(), weight = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  json tensors{{"x", m.input(type, dims)}, {"gamma", m.input(weight, {n})}, {"y", m.output(type, dims)}};
  if (m.chance(70)) tensors["beta"] = m.input(weight, {n});
  return {{"op", "layer_norm"}, {"numbers", {{"epsilon", m.chance(50) ? 1e-5 : 1e-3}}}, {"tensors", tensors}};
}

json rms_norm_backward(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size(), rows = m.between(1, 12);
  return {{"op", "rms_norm_backward"},
          {"tensors",
           {{"dy", m.input(type, {rows, n})},
            {"x", m.input(type, {rows, n})},
            {"rstd", m.plain("f32", {rows}, 0.1, 4)},
            {"gamma", m.input(type, {n})},
            {"dx", m.output(type, {rows, n})},
            {"dgamma", m.output(m.chance(50) ? type : "f32", {n})}}}};
}

json rms_norm_quant(Maker& m) {
  const std::string type = m.float_type(), scale = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  const bool divide = m.chance(30);
  const double low = divide ? 0.01 : 5, high = divide ? 0.1 : 60;
  json tensors{{"x", m.input(type, dims)},
               {"gamma", m.plain(type, {n}, -3, 3)},
               {"scale1", m.plain(scale, {m.chance(80) ? n : 1}, low, high)},
               {"y1", m.output("i8", dims)}};
  if (m.chance(50)) tensors["residual"] = m.input(type, dims), tensors["sum"] = m.output(type, dims);
  if (m.chance(40)) tensors["beta"] = m.plain(type, {n}, -1, 1);
  if (m.chance(60)) tensors["offset1"] = m.plain(m.one_of({"i32", "i8", "f32"}), {m.chance(80) ? n : 1}, -9, 9);
  if (m.chance(40)) {
    tensors["scale2"] = m.plain(scale, {n}, low, high);
    tensors["y2"] = m.output("i8", dims);
  }
  return {{"op", "rms_norm_quant"}, {"numbers", {{"epsilon", epsilon(m)}, {"divide", divide}}}, {"tensors", tensors}};
}

json rms_norm_dynamic_quant(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n, 2);
  const Dims rows(dims.begin(), dims.end() - 1);
  json tensors{{"x", m.input(type, dims)},
               {"gamma", m.plain(type, {n}, -3, 3)},
               {"y1", m.output("i8", dims)},
               {"row_scale1", m.output("f32", rows)}};
  if (m.chance(50)) tensors["residual"] = m.input(type, dims), tensors["sum"] = m.output(type, dims);
  if (m.chance(40)) tensors["beta"] = m.plain(type, {n}, -1, 1);
  if (m.chance(40)) tensors["smooth1"] = m.plain(type, {n}, 0.5, 2);
  if (m.chance(40)) {
    tensors["smooth2"] = m.plain(type, {n}, 0.5, 2);
    tensors["y2"] = m.output("i8", dims);
    tensors["row_scale2"] = m.output("f32", rows);
  }
  return {{"op", "rms_norm_dynamic_quant"}, {"numbers", {{"epsilon", epsilon(m)}}}, {"tensors", tensors}};
}

json quantize(Maker& m) {
  const std::string type = m.float_type();
  const int64_t n = m.size();
  const Dims dims = m.dims(n);
  json tensors{{"x", m.wild(type, dims)},
               {"scale", m.input(type, {m.chance(80) ? n : 1}, 5, 60)},
               {"y", m.output(n % 2 == 0 && m.chance(30) ? "i4" : "i8", dims)}};
  if (m.chance(60)) tensors["offset"] = m.input(type, {m.chance(80) ? n : 1}, -9, 9);
  return {{"op", "quantize"},
          {"tensors", tensors},
          {"words", {{"rounding", m.one_of({"round", "floor", "ceil", "trunc"})}}},
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
  json tensors{{"x", m.wild(type, dims)},
               {"y", m.dense(n % 2 == 0 && m.chance(30) ? "i4" : "i8", dims)},
               {"scale", m.dense("f32", rows)}};
  if (m.chance(40)) tensors["smooth"] = m.input(type, {n}, 0.5, 2);
  if (m.chance(30)) tensors["offset"] = m.dense("f32", rows);
  return {{"op", "dynamic_quant"}, {"tensors", tensors}};
}

json trans_quant_param(Maker& m) {
  const int64_t n = m.size();
  json tensors{{"scale", m.plain("f32", {n}, -2, 2)}, {"y", m.dense(m.one_of({"u64", "i64"}), {n})}};
  if (m.chance(60)) tensors["offset"] = m.plain("f32", {n}, -300, 300);
  return {{"op", "trans_quant_param"}, {"numbers", {{"round", m.chance(50)}}}, {"tensors", tensors}};
}

json cast(Maker& m) {
  const Dims dims = m.dims(m.size());
  const std::string type = m.chance(20) ? "i32" : m.float_type();
  const double most = type == "i32" ? 100000 : m.chance(50) ? 3 : 60000;
  json x = type == "i32" ? m.plain(type, dims, -most, most) : m.wild(type, dims, -most, most);
  return {{"op", "cast"}, {"tensors", {{"x", x}, {"y", m.output(m.float_type(), dims)}}}};
}

json activation(Maker& m) {
  const std::string type = m.float_type();
  const Dims dims = m.dims(m.size());
  return {{"op", "activation"},
          {"words", {{"op", m.one_of({"silu", "gelu", "scale"})}}},
          {"numbers", {{"alpha", 0.7}}},
          {"tensors", {{"x", m.wild(type, dims)}, {"y", m.output(type, dims)}}}};
}

json arithmetic(Maker& m) {
  const std::string type = m.float_type();
  const Dims dims = m.dims(m.size());
  Dims b = dims;
  for (int64_t& dim : b) dim = m.chance(25) && dim > 0 ? 1 : dim;
  if (m.chance(25)) b.erase(b.begin());
  return {{"op", "arithmetic"},
          {"words", {{"op", m.one_of({"add", "subtract", "multiply", "divide"})}}},
          {"tensors", {{"a", m.wild(type, dims)}, {"b", m.input(type, b, 1, 4)}, {"y", m.output(type, dims)}}}};
}

json swiglu(Maker& m) {
  const std::string type = m.float_type();
  const Dims dims = m.dims(m.size());
  const int64_t dim = m.between(0, static_cast<int64_t>(dims.size()) - 1);
  Dims whole = dims;
  whole[static_cast<size_t>(dim)] *= 2;
  return {{"op", "swiglu"},
          {"numbers", {{"dim", dim}}},
          {"tensors", {{"x", m.wild(type, whole)}, {"y", m.output(type, dims)}}}};
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
  const int64_t dim = 4 * m.between(1, 40), rows = m.between(1, 5);
  json tensors{{"query", m.input(type, {rows, m.between(1, 5), dim})},
               {"cos", m.input(type, {rows, dim}, -1, 1)},
               {"sin", m.input(type, {rows, dim}, -1, 1)}};
  if (m.chance(80)) tensors["key"] = m.input(type, {rows, m.between(1, 3), dim});
  return {{"op", "rope"}, {"words", {{"form", m.one_of({"half", "interleave", "quarter"})}}}, {"tensors", tensors}};
}

}  // namespace

std::vector<Family> norm_families() {
  return {{"rms_norm", rms_norm},
          {"layer_norm", layer_norm},
          {"rms_norm_backward", rms_norm_backward},
          {"rms_norm_quant", rms_norm_quant},
          {"rms_norm_dynamic_quant", rms_norm_dynamic_quant},
          {"rope", rope},
          {"softmax", softmax}};
}

std::vector<Family> quantizer_families() {
  return {{"quantize", quantize},
          {"dequantize", dequantize},
          {"dynamic_quant", dynamic_quant},
          {"trans_quant_param", trans_quant_param}};
}

std::vector<Family> elementwise_families() {
  return {{"cast", cast}, {"activation", activation}, {"arithmetic", arithmetic}, {"swiglu", swiglu}};
}

}  // namespace tandem::check
