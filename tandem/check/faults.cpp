// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/faults.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "tandem/base/half.h"

namespace tandem::check {
namespace {

const KernelTable* real = nullptr;

using Bytes = std::vector<std::byte>;

// A copied operand of a product, which lives as long as the arguments that name it.
struct Product {
  GemmArgs args;
  Bytes copy;
};

using Alter = void (*)(Product&);

template <Alter alter>
void run_altered(const GemmArgs& args, Lane& lane) {
  Product product{args, {}};
  alter(product);
  real->gemm.run(product.args, lane);
}

template <Alter alter>
void run_group_altered(const GemmArgs* products, int64_t count, Lane& lane) {
  std::vector<Product> all;
  std::vector<GemmArgs> args;
  for (int64_t i = 0; i < count; ++i) all.push_back({products[i], {}});
  for (Product& product : all) {
    alter(product);
    args.push_back(product.args);
  }
  real->gemm.run_group(args.data(), count, lane);
}

template <Alter alter>
void alter_products(KernelTable& table) {
  table.gemm.run = run_altered<alter>;
  if (table.gemm.run_group != nullptr) table.gemm.run_group = run_group_altered<alter>;
}

void drop_last_k(Product& product) {
  if (product.args.k > 0 && product.args.w.panel == 0) --product.args.k;
}

// Dense rows of a scale or offset, row g taken from `row_of(g)` of `rows`.
template <class RowOf>
void copy_rows(ScaleView& view, int64_t rows, int64_t n, Bytes& copy, RowOf row_of) {
  const size_t size = dtype_bytes(view.dtype, 1);
  const auto* from = static_cast<const std::byte*>(view.data);
  copy.resize(static_cast<size_t>(rows * n) * size);
  for (int64_t g = 0; g < rows; ++g) {
    for (int64_t c = 0; c < n; ++c) {
      const int64_t at = row_of(g) * view.stride_group + c * view.stride_n;
      std::memcpy(copy.data() + static_cast<size_t>(g * n + c) * size, from + at * static_cast<int64_t>(size), size);
    }
  }
  view.data = copy.data();
  view.stride_group = n;
  view.stride_n = 1;
}

int64_t groups_of(const GemmArgs& args) {
  return args.group > 0 && args.scale.stride_group != 0 ? (args.k + args.group - 1) / args.group : 1;
}

void take_next_group(Product& product) {
  const int64_t groups = groups_of(product.args);
  if (product.args.scale.data == nullptr || groups < 2) return;
  copy_rows(product.args.scale, groups, product.args.n, product.copy, [&](int64_t g) { return (g + 1) % groups; });
}

// The sign is the highest bit of each float, little-endian.
void negate(Bytes& values, DType dtype) {
  const size_t size = dtype_bytes(dtype, 1);
  for (size_t i = size; i <= values.size(); i += size) values[i - 1] ^= std::byte{0x80};
}

void negate_offset(Product& product) {
  ScaleView& offset = product.args.offset;
  if (offset.data == nullptr) return;
  copy_rows(offset, groups_of(product.args), product.args.n, product.copy, [](int64_t g) { return g; });
  negate(product.copy, offset.dtype);
}

// Arguments with the offset of each column negated, to `kernel`.
template <class Args>
void with_negated(const Args& args, Lane& lane, void (*kernel)(const Args&, Lane&)) {
  Args altered = args;
  Bytes copy;
  if (args.offset.data != nullptr && is_float(args.offset.dtype)) {
    const auto* from = static_cast<const std::byte*>(args.offset.data);
    copy.assign(from, from + dtype_bytes(args.offset.dtype, args.offset.single ? 1 : args.n));
    negate(copy, args.offset.dtype);
    altered.offset.data = copy.data();
  }
  kernel(altered, lane);
}

void negate_offsets(KernelTable& table) {
  alter_products<negate_offset>(table);
  table.quant.quantize = [](const QuantizeArgs& args, Lane& lane) { with_negated(args, lane, real->quant.quantize); };
  table.quant.dequantize = [](const DequantizeArgs& args, Lane& lane) {
    with_negated(args, lane, real->quant.dequantize);
  };
}

void truncate_integers(KernelTable& table) {
  table.quant.quantize = [](const QuantizeArgs& args, Lane& lane) {
    QuantizeArgs altered = args;
    if (args.rounding == Rounding::half_even) altered.rounding = Rounding::truncate;
    real->quant.quantize(altered, lane);
  };
}

double value_at(const Bytes& row, DType dtype, int64_t i) {
  const auto index = static_cast<size_t>(i);
  if (dtype == DType::f32) return static_cast<double>(reinterpret_cast<const float*>(row.data())[index]);
  const auto* halves = reinterpret_cast<const uint16_t*>(row.data());
  return static_cast<double>(dtype == DType::f16 ? to_float(f16{halves[index]}) : to_float(bf16{halves[index]}));
}

AddRmsNormArgs row_of(const AddRmsNormArgs& all, int64_t r) {
  AddRmsNormArgs row = all;
  const auto moved = [r](const void* data, int64_t bytes) {
    return data == nullptr ? nullptr : static_cast<const std::byte*>(data) + r * bytes;
  };
  row.rows = 1;
  row.x = all.x_rows != nullptr ? all.x_rows[r] : moved(all.x, all.x_row_bytes);
  row.x_rows = nullptr;
  row.residual = moved(all.residual, all.residual_row_bytes);
  row.y = const_cast<void*>(static_cast<const void*>(moved(all.y, all.y_row_bytes)));
  row.norm = const_cast<void*>(static_cast<const void*>(moved(all.norm, all.norm_row_bytes)));
  if (all.rstd != nullptr) row.rstd = all.rstd + r;
  return row;
}

// 1 / (sqrt(mean) + epsilon), as the real kernel gives it for epsilon' = (sqrt(mean) + epsilon)^2 - mean.
void norm_with_epsilon_outside(const AddRmsNormArgs& args, Lane& lane) {
  if (args.norm == nullptr || args.heads != 1) return real->norm.add_rms_norm(args, lane);
  Bytes sum(dtype_bytes(args.dtype, args.n));
  for (int64_t r = 0; r < args.rows; ++r) {
    AddRmsNormArgs add = row_of(args, r);
    add.y = sum.data();
    add.norm = nullptr;
    add.gamma = nullptr;
    add.rstd = nullptr;
    real->norm.add_rms_norm(add, lane);
    double mean = 0;
    for (int64_t i = 0; i < args.n; ++i) mean += value_at(sum, args.dtype, i) * value_at(sum, args.dtype, i);
    mean /= static_cast<double>(std::max<int64_t>(1, args.n));
    const double root = std::sqrt(mean) + static_cast<double>(args.epsilon);
    AddRmsNormArgs whole = row_of(args, r);
    whole.epsilon = static_cast<float>(root * root - mean);
    real->norm.add_rms_norm(whole, lane);
  }
}

constexpr Fault kFaults[] = {
    {"truncate", "quantisers cut off where they should round", truncate_integers},
    {"last-k", "products leave out the last k", alter_products<drop_last_k>},
    {"group-scale", "products take the scales of the next group", alter_products<take_next_group>},
    {"offset-sign", "offsets are subtracted", negate_offsets},
    {"residual-per-rank", "every rank adds the residual before the sum over ranks", [](KernelTable&) {}, true},
    {"epsilon", "norms add epsilon to the root",
     [](KernelTable& t) { t.norm.add_rms_norm = norm_with_epsilon_outside; }},
};

}  // namespace

std::span<const Fault> faults() { return kFaults; }

const Fault* find_fault(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kFaults), std::end(kFaults), [&](const Fault& f) { return f.name == name; });
  return found == std::end(kFaults) ? nullptr : &*found;
}

FaultyTable::FaultyTable(const Fault* fault, const KernelTable& inner) : table_(inner) {
  real = &inner;
  if (fault != nullptr) fault->apply(table_);
}

}  // namespace tandem::check
