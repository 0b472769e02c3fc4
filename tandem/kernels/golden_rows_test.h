// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/golden_problem_test.h"

namespace tandem::testing {

// Random values, or random bits where the type is no short float.
inline SharedArray data_of(DType type, int64_t count, Random& random, const std::string& kind) {
  const bool plain = type == DType::f32 || type == DType::f16 || type == DType::bf16;
  return shared(plain ? filled(type, count, random, kind) : noise(type, count, random));
}

inline GoldenProblem golden_add_rms_norm(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n"), heads = c.value("heads", int64_t{1});
  const DType type = dtype_of(c, "dtype", "f16");
  const bool add = c.value("residual", true), normalise = c.value("norm", true);
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(filled(dtype_of(c, "x", "f32"), rows * n, random, c.value("data", "normal")));
  const auto residual = shared(filled(type, rows * n, random, c.value("data", "normal")));
  const auto gamma = shared(filled(type, n / heads, random));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(type, count * n), norm(type, count * n);
            AddRmsNormArgs args{count, n, at(*x, first * n), x->row_bytes(n), nullptr, x->dtype};
            args.dtype = type;
            args.residual = add ? at(*residual, first * n) : nullptr;
            args.gamma = normalise ? gamma->data() : nullptr;
            args.epsilon = 1e-6f;
            args.y = y.data();
            args.norm = normalise ? norm.data() : nullptr;
            args.residual_row_bytes = args.y_row_bytes = args.norm_row_bytes = y.row_bytes(n);
            args.heads = heads;
            table.norm.add_rms_norm(args, lane);
            return join(cut(y, count), cut(norm, count));
          }};
}

inline GoldenProblem golden_softmax(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(filled(dtype_of(c, "dtype", "f16"), rows * n, random, c.value("data", "wide")));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(x->dtype, count * n);
            const int64_t bytes = y.row_bytes(n);
            table.norm.softmax({count, n, at(*x, first * n), bytes, y.data(), bytes, x->dtype}, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_sum_rows(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n"), ranks = c.at("ranks"), biases = c.value("biases", int64_t{2});
  Random random{c.value("seed", uint64_t{1})};
  const auto in = shared(filled(DType::f32, ranks * rows * n, random, c.value("data", "normal")));
  const auto bias = shared(filled(DType::f32, biases * n, random));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(DType::f32, count * n);
            std::vector<const float*> inputs, added;
            std::vector<float*> out;
            for (int64_t rank = 0; rank < ranks; ++rank) {
              for (int64_t r = first; r < first + count; ++r) inputs.push_back(as<float>(*in, (rank * rows + r) * n));
            }
            for (int64_t i = 0; i < biases; ++i) added.push_back(as<float>(*bias, i * n));
            for (int64_t r = 0; r < count; ++r) out.push_back(as<float>(y, r * n));
            SumRowsArgs args{count, n, static_cast<int>(ranks), inputs.data(), static_cast<int>(biases), added.data()};
            args.y_rows = out.data();
            table.reduce.sum_rows(args, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_add_rows(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(filled(dtype_of(c, "dtype", "f16"), rows * n, random, c.value("data", "normal")));
  const auto start = shared(filled(DType::f32, rows * n, random));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(DType::f32, count * n);
            std::memcpy(y.data(), at(*start, first * n), y.bytes.size());
            std::vector<const void*> in;
            std::vector<float*> out;
            for (int64_t r = 0; r < count; ++r) in.push_back(at(*x, (first + r) * n));
            for (int64_t r = 0; r < count; ++r) out.push_back(as<float>(y, r * n));
            table.reduce.add_rows({count, n, out.data(), in.data(), x->dtype}, lane);
            return cut(y, count);
          }};
}

// Elements are cut into rows of n, so that a part computed alone is looked at too.
inline GoldenProblem golden_cast(const Case& c) {
  const int64_t rows = c.value("rows", int64_t{3}), n = c.at("n");
  const DType from = dtype_of(c, "x", "f32"), to = dtype_of(c, "y", "f16");
  Random random{c.value("seed", uint64_t{1})};
  const auto x = data_of(from, rows * n, random, c.value("data", "special"));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(to, count * n);
            table.reduce.cast({count * n, at(*x, first * n), from, y.data(), to}, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_combine_inputs(const Case& c) {
  const int64_t rows = c.value("rows", int64_t{3}), n = c.at("n"), inputs = c.at("inputs");
  const DType type = dtype_of(c, "dtype", "f16");
  const auto how = named<Combine>(c, "how", {"sum", "product", "maximum", "minimum", "average"});
  Random random{c.value("seed", uint64_t{1})};
  const auto x = data_of(type, inputs * rows * n, random, c.value("data", "special"));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(type, count * n);
            std::vector<const void*> in;
            for (int64_t i = 0; i < inputs; ++i) in.push_back(at(*x, (i * rows + first) * n));
            table.reduce.combine({count * n, static_cast<int>(inputs), in.data(), type, how, y.data()}, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_rope(const Case& c) {
  constexpr int64_t kPositions = 9;
  const int64_t rows = c.at("rows"), heads = c.at("heads"), dim = c.at("dim");
  const auto form = named<RopeForm>(c, "form", {"half", "interleave", "quarter"});
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(filled(dtype_of(c, "dtype", "f16"), rows * heads * dim, random, c.value("data", "normal")));
  const auto cosine = shared(filled(DType::f32, kPositions * dim / 2, random));
  const auto sine = shared(filled(DType::f32, kPositions * dim / 2, random));
  auto positions = std::make_shared<std::vector<int64_t>>();
  for (int64_t r = 0; r < rows; ++r) positions->push_back(random.below(kPositions));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            const int64_t n = heads * dim;
            Array y(x->dtype, count * n);
            std::memcpy(y.data(), at(*x, first * n), y.bytes.size());
            RopeArgs args{count, heads, dim, y.data(), y.row_bytes(n), y.dtype, as<float>(*cosine), as<float>(*sine)};
            args.positions = positions->data() + first;
            args.form = form;
            table.rope.rope(args, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_attention(const Case& c) {
  const int64_t rows = c.at("rows"), heads = c.at("query_heads"), kv = c.at("kv_heads"), dim = c.at("dim");
  const int64_t block = c.value("block_size", int64_t{16}), longest = c.at("length");
  const int64_t blocks = (longest + block - 1) / block;
  const DType type = dtype_of(c, "dtype", "f16");
  Random random{c.value("seed", uint64_t{1})};
  const std::string kind = c.value("data", "normal");
  const auto query = shared(filled(type, rows * heads * dim, random, kind));
  const auto key = shared(filled(type, blocks * block * kv * dim, random, kind));
  const auto value = shared(filled(type, blocks * block * kv * dim, random, kind));
  auto blocks_of = std::make_shared<std::vector<int32_t>>();
  for (int64_t i = blocks; i > 0; --i) blocks_of->push_back(static_cast<int32_t>(i - 1));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            const int64_t n = heads * dim;
            Array y(type, count * n);
            const std::vector<const int32_t*> tables(static_cast<size_t>(count), blocks_of->data());
            std::vector<int64_t> lengths;
            for (int64_t r = first; r < first + count; ++r) lengths.push_back(std::max<int64_t>(longest - 17 * r, 0));
            const int64_t bytes = y.row_bytes(n);
            PagedAttentionArgs args{count, heads, kv, dim, at(*query, first * n), bytes, y.data(), bytes, type};
            args.key_cache = key->data(), args.value_cache = value->data(), args.block_size = block;
            args.block_tables = tables.data(), args.lengths = lengths.data();
            args.scale = 1.0f / std::sqrt(static_cast<float>(dim));
            table.attention.paged(args, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_top_k(const Case& c) {
  const int64_t rows = c.at("rows"), experts = c.at("experts"), top = c.at("top_k");
  const bool normalise = c.value("normalise", true);
  Random random{c.value("seed", uint64_t{1})};
  const auto logits = shared(filled(DType::f32, rows * experts, random, c.value("data", "wide")));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array expert(DType::i32, count * top), weight(DType::f32, count * top);
            TopKArgs args{count, experts, top, as<float>(*logits, first * experts), normalise};
            args.expert = as<int32_t>(expert), args.weight = as<float>(weight);
            table.moe.top_k(args, lane);
            return join(cut(expert, count), cut(weight, count));
          }};
}

inline GoldenProblem golden_swiglu(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  Random random{c.value("seed", uint64_t{1})};
  const std::string kind = c.value("data", "wide");
  const auto gate = shared(filled(dtype_of(c, "dtype", "f16"), rows * n, random, kind));
  const auto up = shared(filled(gate->dtype, rows * n, random, kind));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(gate->dtype, count * n);
            const int64_t bytes = y.row_bytes(n);
            SwigluArgs args{count, n, at(*gate, first * n), at(*up, first * n), bytes, bytes, y.data(), bytes, y.dtype};
            table.moe.swiglu(args, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_quantize(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  const bool single = c.value("single", false);
  const DType type = dtype_of(c, "x", "f16"), to = dtype_of(c, "y", "i8");
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(filled(type, rows * n, random, c.value("data", "special")));
  auto factors = filled(type, n, random), added = filled(type, n, random);
  const bool divide = c.value("divide", false), moved = c.value("offset", false);
  for (int64_t i = 0; i < n; ++i) factors.set(i, divide ? 0.02f + 0.01f * factors.get(i) : 90 * factors.get(i));
  for (int64_t i = 0; i < n; ++i) added.set(i, 20 * added.get(i));
  const auto scale = shared(std::move(factors)), offset = shared(std::move(added));
  const auto rounding = named<Rounding>(c, "rounding", {"half_even", "floor", "ceil", "truncate"});
  const bool square = c.value("square", false), last = c.value("offset_last", false);
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(to, count * n);
            QuantizeArgs args{count, n, at(*x, first * n), x->row_bytes(n), type, {scale->data(), type, single}};
            if (moved) args.offset = {offset->data(), type, single};
            args.rounding = rounding, args.square = square, args.divide = divide, args.offset_last = last;
            args.y = y.data(), args.y_row_bytes = y.row_bytes(n), args.y_dtype = to;
            table.quant.quantize(args, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_dequantize(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  const DType from = dtype_of(c, "x", "i8"), to = dtype_of(c, "y", "f16"), type = dtype_of(c, "scale", "f32");
  const bool single = c.value("single", false), moved = c.value("offset", false), square = c.value("square", false);
  const bool per_row = c.value("row_scale", false);
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(noise(from, rows * n, random));
  const auto scale = shared(filled(type, n, random)), offset = shared(filled(type, n, random));
  const auto by_row = shared(filled(DType::f32, rows, random));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(to, count * n);
            DequantizeArgs args{count, n, at(*x, first * n), x->row_bytes(n), from};
            args.scale = {scale->data(), type, single};
            if (moved) args.offset = {offset->data(), type, single};
            if (per_row) args.row_scale = as<float>(*by_row, first);
            args.square = square;
            args.y = y.data(), args.y_row_bytes = y.row_bytes(n), args.y_dtype = to;
            table.quant.dequantize(args, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_dynamic_quant(const Case& c) {
  const int64_t rows = c.at("rows"), n = c.at("n");
  const DType type = dtype_of(c, "x", "f16"), to = dtype_of(c, "y", "i8");
  const bool moved = c.value("asymmetric", false), smoothed = c.value("smooth", false);
  Random random{c.value("seed", uint64_t{1})};
  const auto x = shared(filled(type, rows * n, random, c.value("data", "wide")));
  const auto smooth = shared(filled(type, 2 * n, random));
  auto which = std::make_shared<std::vector<int32_t>>();
  for (int64_t r = 0; r < rows; ++r) which->push_back(static_cast<int32_t>(random.below(2)));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(to, count * n), scale(DType::f32, count), offset(DType::f32, count);
            DynamicQuantArgs args{count, n, at(*x, first * n), x->row_bytes(n), type};
            if (smoothed) args.smooth = smooth->data(), args.smooth_row = which->data() + first;
            args.y = y.data(), args.y_row_bytes = y.row_bytes(n), args.y_dtype = to;
            args.scale = as<float>(scale);
            args.offset = moved ? as<float>(offset) : nullptr;
            table.quant.dynamic_quant(args, lane);
            return join(join(cut(y, count), cut(scale, count)), cut(offset, count));
          }};
}

inline GoldenProblem golden_unary(const Case& c) {
  const int64_t rows = c.value("rows", int64_t{3}), n = c.at("n");
  const auto op = named<Unary>(c, "op", {"copy", "negate", "absolute", "square_root", "reciprocal", "exponential",
                                         "silu", "gelu", "scale"});
  const DType type = dtype_of(c, "dtype", "f16");
  Random random{c.value("seed", uint64_t{1})};
  const auto x = data_of(type, rows * n, random, c.value("data", "special"));
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(type, count * n);
            table.elementwise.unary({count * n, at(*x, first * n), y.data(), type, op, 0.3f}, lane);
            return cut(y, count);
          }};
}

inline GoldenProblem golden_binary(const Case& c) {
  const int64_t rows = c.value("rows", int64_t{3}), n = c.at("n");
  const auto op = named<Binary>(c, "op", {"add", "subtract", "multiply", "divide", "maximum", "minimum"});
  const DType type = dtype_of(c, "dtype", "f16");
  const bool repeats = c.value("repeats", false);
  Random random{c.value("seed", uint64_t{1})};
  const std::string kind = c.value("data", "special");
  const auto a = data_of(type, rows * n, random, kind), b = data_of(type, repeats ? n : rows * n, random, kind);
  return {rows, [=](const KernelTable& table, Lane& lane, int64_t first, int64_t count) {
            Array y(type, count * n);
            const void* second = repeats ? b->data() : at(*b, first * n);
            table.elementwise.binary({count * n, at(*a, first * n), second, repeats ? n : 0, y.data(), type, op}, lane);
            return cut(y, count);
          }};
}

inline std::vector<GoldenFamily> golden_rows() {
  using T = const KernelTable&;
  return {{"add_rms_norm", [](T t) { return t.norm.add_rms_norm != nullptr; }, golden_add_rms_norm},
          {"softmax", [](T t) { return t.norm.softmax != nullptr; }, golden_softmax},
          {"sum_rows", [](T t) { return t.reduce.sum_rows != nullptr; }, golden_sum_rows},
          {"add_rows", [](T t) { return t.reduce.add_rows != nullptr; }, golden_add_rows},
          {"cast", [](T t) { return t.reduce.cast != nullptr; }, golden_cast},
          {"combine_inputs", [](T t) { return t.reduce.combine != nullptr; }, golden_combine_inputs},
          {"rope", [](T t) { return t.rope.rope != nullptr; }, golden_rope},
          {"attention", [](T t) { return t.attention.paged != nullptr; }, golden_attention},
          {"top_k", [](T t) { return t.moe.top_k != nullptr; }, golden_top_k},
          {"swiglu", [](T t) { return t.moe.swiglu != nullptr; }, golden_swiglu},
          {"quantize", [](T t) { return t.quant.quantize != nullptr; }, golden_quantize},
          {"dequantize", [](T t) { return t.quant.dequantize != nullptr; }, golden_dequantize},
          {"dynamic_quant", [](T t) { return t.quant.dynamic_quant != nullptr; }, golden_dynamic_quant},
          {"unary", [](T t) { return t.elementwise.unary != nullptr; }, golden_unary},
          {"binary", [](T t) { return t.elementwise.binary != nullptr; }, golden_binary}};
}

}  // namespace tandem::testing
