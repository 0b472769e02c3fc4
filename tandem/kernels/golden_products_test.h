// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/golden_problem_test.h"

namespace tandem::testing {

// Operands of one product; all parameters are keys of the case.
struct GoldenProduct {
  Array x, w, packed, scale, offset, dequant, token;
  GemmArgs args;

  explicit GoldenProduct(const Case& c, Random random)
      : x(none()), w(none()), packed(none()), scale(none()), offset(none()), dequant(none()), token(none()) {
    args.m = c.at("m"), args.n = c.at("n"), args.k = c.at("k");
    args.leaves = c.value("leaves", 8);
    args.math = named<Math>(c, "math", {"exact", "fast"});
    args.split_leaves = c.value("split", false);
    args.y_dtype = dtype_of(c, "y", "f32");
    x = filled(dtype_of(c, "x", "f16"), args.m * args.k, random, c.value("data", "normal"));
    args.x_dtype = x.dtype;
    args.x_row_bytes = x.row_bytes(args.k);
    set_weight(c, random);
    set_scales(c, random);
  }

  static Array none() { return Array(DType::f32, 0); }
  int64_t width() const { return args.split_leaves ? args.leaves * args.n : args.n; }

  void set_weight(const Case& c, Random& random) {
    const std::string layout = c.value("layout", "row");
    const DType type = dtype_of(c, "w", "f16");
    w = filled(type, args.k * args.n, random, c.value("data", "normal"));
    args.w = {w.data(), type, args.n, 1, 0};
    if (layout == "padded") move_weight(args.n + 3, 1, args.k * (args.n + 3));
    if (layout == "transposed") move_weight(1, args.k, args.k * args.n);
    if (layout != "packed") return;
    packed = Array(type, static_cast<int64_t>(packed_bytes(type, args.k, args.n)) * 8 / dtype_bits(type));
    args.w = pack_weight(args.w, args.k, args.n, packed.data());
  }

  // The same values elsewhere.
  void move_weight(int64_t stride_k, int64_t stride_n, int64_t count) {
    Array moved(w.dtype, count);
    for (int64_t i = 0; i < args.k * args.n; ++i) moved.set(i / args.n * stride_k + i % args.n * stride_n, w.get(i));
    w = std::move(moved);
    args.w = {w.data(), w.dtype, stride_k, stride_n, 0};
  }

  // form: none, tensor, channel, group; of int8 activations also dequant.
  void set_scales(const Case& c, Random& random) {
    const std::string form = c.value("form", "none");
    if (c.value("token", false)) {
      token = filled(DType::f32, args.m, random);
      args.token = as<float>(token);
    }
    const DType type = dtype_of(c, "scale", "f16");
    if (form == "dequant") {
      dequant = filled(type, args.n, random);
      args.dequant = {dequant.data(), type, 0, c.value("dequant_one", false) ? 0 : 1};
    }
    if (form == "none" || form == "dequant") return;
    args.group = form == "group" ? c.value("group", int64_t{32}) : 0;
    const int64_t groups = args.group > 0 ? (args.k + args.group - 1) / args.group : 1;
    scale = filled(type, groups * args.n, random);
    args.scale = {scale.data(), type, args.group > 0 ? args.n : 0, form == "tensor" ? 0 : 1};
    if (!c.value("offset", false)) return;
    offset = Array(type, groups * args.n);
    const bool whole = c.value("whole_offset", false);
    for (int64_t i = 0; i < offset.count; ++i) {
      offset.set(i, whole ? static_cast<float>(random.below(17) - 8) : 8 * random.unit());
    }
    args.offset = {offset.data(), type, args.scale.stride_group, args.scale.stride_n};
  }

  // The arguments for some of the rows, without y.
  GemmArgs rows(int64_t first, int64_t count) const {
    GemmArgs some = args;
    some.m = count;
    some.x = at(x, first * args.k);
    if (args.token != nullptr) some.token += first;
    return some;
  }
};

inline void set_output(GemmArgs& args, Array& y, int64_t width) {
  args.y = y.data();
  args.y_row_bytes = y.row_bytes(width);
}

inline GoldenProblem golden_gemm(const Case& c) {
  const auto p = std::make_shared<const GoldenProduct>(c, Random{c.value("seed", uint64_t{1})});
  return {p->args.m, [p](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(p->args.y_dtype, count * p->width());
            GemmArgs args = p->rows(first, count);
            set_output(args, y, p->width());
            table.gemm.run(args, lane);
            return cut(y, count);
          }};
}

// A row is one of several products, of m, 1, 2 m, .. rows.
inline GoldenProblem golden_gemm_group(const Case& c) {
  auto products = std::make_shared<std::vector<std::unique_ptr<GoldenProduct>>>();
  for (int64_t i = 0; i < c.at("products"); ++i) {
    Case one = c;
    one["m"] = i % 3 == 1 ? 1 : c.at("m").get<int64_t>() * (i + 1);
    products->push_back(std::make_unique<GoldenProduct>(one, Random{static_cast<uint64_t>(i + 1)}));
  }
  return {c.at("products"), [products](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            std::vector<Array> y;
            std::vector<GemmArgs> args;
            for (int64_t i = first; i < first + count; ++i) {
              const GoldenProduct& p = *(*products)[static_cast<size_t>(i)];
              y.emplace_back(p.args.y_dtype, p.args.m * p.width());
              args.push_back(p.rows(0, p.args.m));
            }
            for (size_t i = 0; i < args.size(); ++i) set_output(args[i], y[i], args[i].n);
            table.gemm.run_group(args.data(), count, lane);
            std::vector<Bytes> done;
            for (const Array& one : y) done.push_back(one.bytes);
            return done;
          }};
}

inline GoldenProblem golden_combine(const Case& c) {
  const int64_t m = c.at("m"), n = c.at("n"), terms = c.at("terms"), leaves = c.value("leaves", int64_t{8});
  Random random{c.value("seed", uint64_t{1})};
  const auto in = shared(filled(DType::f32, m * terms * leaves * n, random, c.value("data", "normal")));
  const auto weight = shared(filled(DType::f32, m * terms, random));
  return {m, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(DType::f32, count * n);
            std::vector<const float*> inputs;
            std::vector<float*> rows;
            for (int64_t i = 0; i < count * terms; ++i) {
              inputs.push_back(as<float>(*in, (first * terms + i) * leaves * n));
            }
            for (int64_t r = 0; r < count; ++r) rows.push_back(as<float>(y, r * n));
            CombineArgs args{count, n, static_cast<int>(leaves), static_cast<int>(terms), inputs.data()};
            args.weights = as<float>(*weight, first * terms);
            args.y_rows = rows.data();
            table.gemm.combine(args, lane);
            return cut(y, count);
          }};
}

inline std::vector<GoldenFamily> golden_products() {
  return {{"gemm", [](const KernelTable& t) { return t.gemm.run != nullptr; }, golden_gemm},
          {"gemm_group", [](const KernelTable& t) { return t.gemm.run_group != nullptr; }, golden_gemm_group},
          {"combine", [](const KernelTable& t) { return t.gemm.combine != nullptr; }, golden_combine}};
}

}  // namespace tandem::testing
