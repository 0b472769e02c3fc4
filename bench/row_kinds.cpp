// SPDX-License-Identifier: Apache-2.0
#include "bench/row_kinds.h"

#include <algorithm>
#include <cmath>

namespace tandem::bench {
namespace {

using Role = Part::Role;

double unit(DType type) { return type == DType::f16 ? 0x1p-11 : type == DType::bf16 ? 0x1p-8 : 0x1p-24; }
double spacing(DType type) { return type == DType::f16 ? 0x1p-24 : 0x1p-120; }
int64_t row_bytes(DType type, int64_t n) { return static_cast<int64_t>(dtype_bytes(type, n)); }

// A result within `units` halves of a last place of the oracle's, which is rounded itself: two where a sum may lie on a
// middle between two values.
Part out(DType type, int64_t n, double units, double more = 0, Role role = Role::output) {
  return {type, n, role, -8, 0, 1.05 * (units * unit(type) + more), spacing(type), {}};
}
Part whole_numbers(DType type, int64_t n) { return {type, n, Role::output, 0, 0, 0, 1, {}}; }  // a tie may fall either way

RowKind add_rms_norm(DType x, DType type, int64_t n) {
  RowKind kind{"add_rms_norm", std::string(dtype_name(x)) + "+" + std::string(dtype_name(type)), n, {}, {}, {}};
  // The rounded y may differ by one unit where its sum lies on a middle.
  kind.parts = {{x, n}, {type, n}, {type, n, Role::shared}, out(type, n, 2, 0x1p-22),
                out(type, n, 3, 0x1p-21 + static_cast<double>(n + 8) * 0x1p-24)};
  kind.parts[3].absolute = kind.parts[4].absolute = 4 * unit(type) * 0x1p-8 + spacing(type);
  kind.present = [](const KernelTable& t) { return t.norm.add_rms_norm != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    AddRmsNormArgs a;
    a.rows = rows, a.n = n, a.x = p[0], a.x_row_bytes = row_bytes(x, n), a.x_dtype = x;
    a.residual = p[1], a.residual_row_bytes = row_bytes(type, n), a.gamma = p[2], a.dtype = type, a.epsilon = 1e-6f;
    a.y = p[3], a.y_row_bytes = row_bytes(type, n), a.norm = p[4], a.norm_row_bytes = row_bytes(type, n);
    t.norm.add_rms_norm(a, lane);
  };
  return kind;
}

RowKind rope(DType type, int64_t n) {
  constexpr int64_t kDim = 128, kPositions = 64;
  const int64_t heads = std::max<int64_t>(1, n / kDim);
  RowKind kind{"rope", std::string(dtype_name(type)), heads * kDim, {}, {}, {}};
  const auto angle = [](int64_t i) { return 0.37f * static_cast<float>(i % 977); };
  kind.parts = {out(type, heads * kDim, 2, 0x1p-22, Role::both),
                {DType::f32, kPositions * kDim / 2, Role::shared, 0, 0, 0, 0, [angle](int64_t i) { return std::cos(angle(i)); }},
                {DType::f32, kPositions * kDim / 2, Role::shared, 0, 0, 0, 0, [angle](int64_t i) { return std::sin(angle(i)); }}};
  kind.parts[0].absolute = 4 * unit(type);
  kind.present = [](const KernelTable& t) { return t.rope.rope != nullptr; };
  // Every row at one position, so that any sample of rows fits.
  static const std::vector<int64_t> positions(size_t{1} << 17, 17);
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    t.rope.rope({rows, heads, kDim, p[0], row_bytes(type, heads * kDim), type, static_cast<const float*>(p[1]),
                 static_cast<const float*>(p[2]), positions.data()}, lane);
  };
  return kind;
}

RowKind quantize(DType type, int64_t n) {
  RowKind kind{"quantize", std::string(dtype_name(type)) + " to i8", n, {}, {}, {}};
  kind.parts = {{type, n}, {DType::f32, n, Role::shared, 5, 8}, {DType::f32, n, Role::shared, 0, 3}, whole_numbers(DType::i8, n)};
  kind.present = [](const KernelTable& t) { return t.quant.quantize != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    QuantizeArgs a;
    a.rows = rows, a.n = n, a.x = p[0], a.x_row_bytes = row_bytes(type, n), a.x_dtype = type;
    a.scale = {p[1], DType::f32, false}, a.offset = {p[2], DType::f32, false};
    a.y = p[3], a.y_row_bytes = n, a.y_dtype = DType::i8;
    t.quant.quantize(a, lane);
  };
  return kind;
}

RowKind dynamic_quant(DType type, int64_t n) {
  RowKind kind{"dynamic_quant", std::string(dtype_name(type)) + " to i8", n, {}, {}, {}};
  kind.parts = {{type, n}, whole_numbers(DType::i8, n), {DType::f32, 1, Role::output, 0, 0, 0x1p-22, 0, {}}};
  kind.present = [](const KernelTable& t) { return t.quant.dynamic_quant != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    DynamicQuantArgs a;
    a.rows = rows, a.n = n, a.x = p[0], a.x_row_bytes = row_bytes(type, n), a.x_dtype = type;
    a.y = p[1], a.y_row_bytes = n, a.y_dtype = DType::i8, a.scale = static_cast<float*>(p[2]);
    t.quant.dynamic_quant(a, lane);
  };
  return kind;
}

RowKind softmax(DType type, int64_t n) {
  RowKind kind{"softmax", std::string(dtype_name(type)), n, {}, {}, {}};
  kind.parts = {{type, n, Role::input, -4, 3}, out(type, n, 2, 0x1p-19 + static_cast<double>(n) * 0x1p-24)};
  kind.present = [](const KernelTable& t) { return t.norm.softmax != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    t.norm.softmax({rows, n, p[0], row_bytes(type, n), p[1], row_bytes(type, n), type}, lane);
  };
  return kind;
}

RowKind combine(DType type, int64_t n) {
  RowKind kind{"combine of 4", std::string(dtype_name(type)), n, {}, {}, {}};
  kind.parts = {{type, n}, {type, n}, {type, n}, {type, n}, out(type, n, 2)};
  kind.parts[4].absolute = 16 * 0x1p-24 + spacing(type);
  kind.present = [](const KernelTable& t) { return t.reduce.combine != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    CombineInputsArgs a;
    a.count = rows * n, a.inputs = 4, a.x = p, a.dtype = type, a.y = p[4];
    t.reduce.combine(a, lane);
  };
  return kind;
}

RowKind swiglu(DType type, int64_t n) {
  RowKind kind{"swiglu", std::string(dtype_name(type)), n, {}, {}, {}};
  kind.parts = {{type, n, Role::input, -4, 2}, {type, n}, out(type, n, 2, 0x1p-19)};
  kind.present = [](const KernelTable& t) { return t.moe.swiglu != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    const int64_t bytes = row_bytes(type, n);
    t.moe.swiglu({rows, n, p[0], p[1], bytes, bytes, p[2], bytes, type}, lane);
  };
  return kind;
}

RowKind addition(DType type, int64_t n) {
  RowKind kind{"add", std::string(dtype_name(type)), n, {}, {}, {}};
  kind.parts = {{type, n}, {type, n}, out(type, n, 2, 0x1p-23)};
  kind.present = [](const KernelTable& t) { return t.elementwise.binary != nullptr; };
  kind.call = [=](const KernelTable& t, void* const* p, int64_t rows, Lane& lane) {
    t.elementwise.binary({rows * n, p[0], p[1], 0, p[2], type, Binary::add}, lane);
  };
  return kind;
}

}  // namespace

std::vector<RowKind> row_kinds(int64_t n) {
  std::vector<RowKind> list = {add_rms_norm(DType::f32, DType::f16, n)};
  for (const DType type : {DType::f16, DType::bf16}) {
    for (const auto& make : {rope, quantize, dynamic_quant, softmax, combine, swiglu, addition}) list.push_back(make(type, n));
    list.push_back(add_rms_norm(type, type, n));
  }
  list.push_back(combine(DType::f32, n));
  return list;
}

}  // namespace tandem::bench
