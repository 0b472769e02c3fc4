// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>

#include "tandem/kernels/test_data.h"

// Outputs larger than the caches are written past them, at any address: the same bits as small ones, nothing beside.
namespace tandem::testing {
namespace {

constexpr int64_t kBytes = int64_t{33} << 20;
constexpr int64_t kColumns = 2086;  // a piece of a row and a part of one
constexpr uint8_t kUntouched = 0xa5;
#ifdef TANDEM_EMULATED
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

Array filled(DType type, int64_t count) {
  Array array(type, count);
  Random random{static_cast<uint64_t>(count)};
  fill(array, random, "normal");
  return array;
}

// Rows of an operator whose input rows are all the same.
struct RowWriter {
  const char* name;
  DType type;
  std::function<void(const KernelTable&, void* y, int64_t row_bytes, int64_t rows, Lane&)> call;
};

void PrintTo(const RowWriter& writer, std::ostream* out) { *out << writer.name << " to " << dtype_name(writer.type); }

const Array& input(DType type) {
  static const Array arrays[] = {filled(DType::f32, kColumns), filled(DType::f16, kColumns), filled(DType::i8, kColumns)};
  return arrays[type == DType::f32 ? 0 : type == DType::f16 ? 1 : 2];
}

void norm(const KernelTable& table, bool first, void* y, int64_t row_bytes, int64_t rows, Lane& lane) {
  std::vector<uint8_t> other(static_cast<size_t>(row_bytes * rows));
  const void* x = input(DType::f16).data();
  AddRmsNormArgs a;
  a.rows = rows, a.n = kColumns, a.x = x, a.x_dtype = DType::f16, a.residual = x, a.gamma = x, a.dtype = DType::f16;
  a.y = first ? y : other.data(), a.norm = first ? other.data() : y, a.y_row_bytes = a.norm_row_bytes = row_bytes;
  table.norm.add_rms_norm(a, lane);
}

void dynamic_quant(const KernelTable& table, DType type, void* y, int64_t row_bytes, int64_t rows, Lane& lane) {
  std::vector<float> scale(static_cast<size_t>(rows));
  DynamicQuantArgs a;
  a.rows = rows, a.n = kColumns, a.x = input(DType::f16).data(), a.x_dtype = DType::f16;
  a.y = y, a.y_row_bytes = row_bytes, a.y_dtype = type, a.scale = scale.data();
  table.quant.dynamic_quant(a, lane);
}

void quantize(const KernelTable& table, DType type, void* y, int64_t row_bytes, int64_t rows, Lane& lane) {
  QuantizeArgs a;
  a.rows = rows, a.n = kColumns, a.x = input(DType::f16).data(), a.x_dtype = DType::f16;
  a.scale = {input(DType::f32).data(), DType::f32, false};
  a.y = y, a.y_row_bytes = row_bytes, a.y_dtype = type;
  table.quant.quantize(a, lane);
}

std::vector<RowWriter> row_writers() {
  const auto norm_of = [](bool first) {
    return [=](const KernelTable& t, void* y, int64_t bytes, int64_t rows, Lane& lane) { norm(t, first, y, bytes, rows, lane); };
  };
  const auto narrow = [](auto run, DType type) {
    return [=](const KernelTable& t, void* y, int64_t bytes, int64_t rows, Lane& lane) { run(t, type, y, bytes, rows, lane); };
  };
  const auto dequantize = [](const KernelTable& t, void* y, int64_t bytes, int64_t rows, Lane& lane) {
    DequantizeArgs a;
    a.rows = rows, a.n = kColumns, a.x = input(DType::i8).data(), a.x_dtype = DType::i8;
    a.scale = {input(DType::f32).data(), DType::f32, false};
    a.y = y, a.y_row_bytes = bytes, a.y_dtype = DType::f16;
    t.quant.dequantize(a, lane);
  };
  const auto softmax = [](const KernelTable& t, void* y, int64_t bytes, int64_t rows, Lane& lane) {
    t.norm.softmax({rows, kColumns, input(DType::f16).data(), 0, y, bytes, DType::f16}, lane);
  };
  const auto swiglu = [](const KernelTable& t, void* y, int64_t bytes, int64_t rows, Lane& lane) {
    const void* x = input(DType::f16).data();
    SwigluArgs a;
    a.rows = rows, a.n = kColumns, a.gate = a.up = x, a.y = y, a.y_row_bytes = bytes, a.dtype = DType::f16;
    t.moe.swiglu(a, lane);
  };
  return {{"the sum of add_rms_norm", DType::f16, norm_of(true)},
          {"the norm of add_rms_norm", DType::f16, norm_of(false)},
          {"softmax", DType::f16, softmax},
          {"swiglu", DType::f16, swiglu},
          {"dequantize", DType::f16, dequantize},
          {"quantize", DType::i8, narrow(quantize, DType::i8)},
          {"quantize", DType::i4, narrow(quantize, DType::i4)},
          {"dynamic_quant", DType::i8, narrow(dynamic_quant, DType::i8)},
          {"dynamic_quant", DType::i4, narrow(dynamic_quant, DType::i4)}};
}

class RowsPastCaches : public ::testing::TestWithParam<RowWriter> {};

TEST_P(RowsPastCaches, SameBitsNothingBeside) {
  if (kEmulated) GTEST_SKIP() << "33 MiB an operator and table take minutes under emulation";
  const RowWriter& writer = GetParam();
  const auto bytes = static_cast<int64_t>(dtype_bytes(writer.type, kColumns));
  // Rows that begin on every residue, and rows that all begin on a line.
  for (const int64_t row_bytes : {bytes + 5, (bytes + 63) / 64 * 64}) {
    const int64_t rows = kBytes / bytes;
    for (const KernelTable* table : exact_tables()) {
      std::vector<uint8_t> one(static_cast<size_t>(row_bytes)), all(static_cast<size_t>(rows * row_bytes + 64), kUntouched);
      uint8_t* begin = all.data() + (64 - reinterpret_cast<uintptr_t>(all.data()) % 64) % 64;
      writer.call(*table, one.data(), row_bytes, 1, lane_of(2));
      writer.call(*table, begin, row_bytes, rows, lane_of(2));
      for (int64_t row = 0; row < rows; ++row) {
        const uint8_t* y = begin + row * row_bytes;
        ASSERT_EQ(std::memcmp(y, one.data(), static_cast<size_t>(bytes)), 0) << table->name << " row " << row;
        for (int64_t i = bytes; i < row_bytes; ++i) ASSERT_EQ(y[i], kUntouched) << table->name << " behind row " << row;
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Writers, RowsPastCaches, ::testing::ValuesIn(row_writers()));

// Operators over one long array, whose input repeats after a prime number of elements.
struct ArrayWriter {
  const char* name;
  void (*call)(const KernelTable&, const void* x, void* y, int64_t count, Lane&);
};

void PrintTo(const ArrayWriter& writer, std::ostream* out) { *out << writer.name; }

void unary(const KernelTable& t, const void* x, void* y, int64_t count, Lane& lane) {
  t.elementwise.unary({count, x, y, DType::f16, Unary::scale, 0.7f}, lane);
}
void binary(const KernelTable& t, const void* x, void* y, int64_t count, Lane& lane) {
  t.elementwise.binary({count, x, x, 0, y, DType::f16, Binary::multiply}, lane);
}
void cast(const KernelTable& t, const void* x, void* y, int64_t count, Lane& lane) {
  t.reduce.cast({count, x, DType::f16, y, DType::bf16}, lane);
}
void combine(const KernelTable& t, const void* x, void* y, int64_t count, Lane& lane) {
  const void* inputs[] = {x, x, x};
  t.reduce.combine({count, 3, inputs, DType::f16, Combine::sum, y}, lane);
}

class ArraysPastCaches : public ::testing::TestWithParam<ArrayWriter> {};

TEST_P(ArraysPastCaches, SameBitsNothingBeside) {
  if (kEmulated) GTEST_SKIP() << "33 MiB an operator and table take minutes under emulation";
  constexpr int64_t kPeriod = 4099, kCopies = kBytes / 2 / kPeriod, kCount = kCopies * kPeriod;
  const Array some = filled(DType::f16, kPeriod);
  Array x(DType::f16, kCount);
  const size_t period = some.bytes.size();
  for (size_t i = 0; i < kCopies; ++i) std::memcpy(x.bytes.data() + i * period, some.data(), period);
  for (const KernelTable* table : exact_tables()) {
    for (const size_t shift : {size_t{0}, size_t{3}}) {
      std::vector<uint8_t> one(period), all(x.bytes.size() + 16, kUntouched);
      GetParam().call(*table, some.data(), one.data(), kPeriod, lane_of(2));
      GetParam().call(*table, x.data(), all.data() + shift, kCount, lane_of(2));
      for (size_t i = 0; i < kCopies; ++i) {
        ASSERT_EQ(std::memcmp(all.data() + shift + i * period, one.data(), period), 0) << table->name << " copy " << i;
      }
      for (size_t i = 0; i < shift; ++i) ASSERT_EQ(all[i], kUntouched) << table->name;
      for (size_t i = shift + x.bytes.size(); i < all.size(); ++i) ASSERT_EQ(all[i], kUntouched) << table->name;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Writers, ArraysPastCaches,
                         ::testing::Values(ArrayWriter{"unary", unary}, ArrayWriter{"binary", binary},
                                           ArrayWriter{"cast", cast}, ArrayWriter{"combine", combine}));

}  // namespace
}  // namespace tandem::testing
