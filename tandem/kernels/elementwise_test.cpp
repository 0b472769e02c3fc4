// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>

#include "tandem/kernels/test_data.h"

#define TANDEM_ISA portable
#define TANDEM_ISA_IS_portable 1
#include "tandem/kernels/cpu/vec.h"

namespace tandem::testing {
namespace {

constexpr const char* kUnary[] = {"copy", "negate", "absolute", "square_root", "reciprocal", "exponential", "silu", "gelu", "scale"};
constexpr const char* kBinary[] = {"add", "subtract", "multiply", "divide", "maximum", "minimum"};
constexpr const char* kCombine[] = {"sum", "product", "maximum", "minimum", "average"};
template <class Op, size_t kCount>
Op op_of(const Case& c, const char* const (&names)[kCount]) {
  for (size_t i = 0; i < kCount; ++i) {
    if (c.at("op") == names[i]) return static_cast<Op>(i);
  }
  ADD_FAILURE() << "no such operation: " << c.dump();
  return {};
}

float model_exp(float x) { return portable::exp_one(x); }

float model(Unary op, float v, float alpha) {
  switch (op) {
    case Unary::copy: return v;
    case Unary::negate: return -v;
    case Unary::absolute: return std::fabs(v);
    case Unary::square_root: return std::sqrt(v);
    case Unary::reciprocal: return 1.0f / v;
    case Unary::exponential: return model_exp(v);
    case Unary::silu: return v / (1.0f + model_exp(-v));
    case Unary::gelu: return v / (1.0f + model_exp(-2.0f * (0x1.988454p-1f * (v + 0.044715f * (v * v * v)))));
    case Unary::scale: return v * alpha;
  }
  return v;
}

template <class T>
T extreme(T a, T b, bool greatest) {
  if (std::isnan(static_cast<double>(a)) || std::isnan(static_cast<double>(b))) return static_cast<T>(NAN);
  if (a == b) return std::signbit(static_cast<double>(a)) == greatest ? b : a;
  return (a > b) == greatest ? a : b;
}

template <class T>
T model(Binary op, T a, T b) {
  switch (op) {
    case Binary::add: return a + b;
    case Binary::subtract: return a - b;
    case Binary::multiply: return a * b;
    case Binary::divide: return a / b;
    case Binary::maximum: return extreme(a, b, true);
    case Binary::minimum: return extreme(a, b, false);
  }
  return a;
}

Array values(DType type, int64_t count, Random& random, const Case& c) {
  Array x(type, count);
  if (type == DType::i32) {
    for (int64_t i = 0; i < 4 * count; ++i) x.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(random.next() >> 40);
    return x;
  }
  fill(x, random, c.value("data", "normal"));
  for (int64_t i = 0; i < count; ++i) x.set(i, x.get(i) * c.value("gain", 1.0f));
  return x;
}

uint32_t word(const Array& x, int64_t i) { return reinterpret_cast<const uint32_t*>(x.bytes.data())[i]; }

TEST(Elementwise, UnaryCasesMatchTheModel) {
  int count = 0;
  for (const Case& c : load_cases("kernels_elementwise.json")) {
    if (c.at("kernel") != "unary") continue;
    const auto op = op_of<Unary>(c, kUnary);
    Random random{c.value("seed", uint64_t{1})};
    const DType type = dtype_of(c, "dtype", "f16");
    const Array x = values(type, c.at("count"), random, c);
    Array expected(type, x.count);
    for (int64_t i = 0; i < x.count; ++i) {
      if (type != DType::i32) {
        expected.set(i, canonical(model(op, x.get(i), 0.75f)));
        continue;
      }
      const uint32_t v = word(x, i);
      reinterpret_cast<uint32_t*>(expected.bytes.data())[i] = op == Unary::negate || (op == Unary::absolute && v >> 31 != 0) ? 0u - v : v;
    }
    for (const KernelTable* table : kernel_tables()) {
      Array y(type, x.count), inplace = x;
      table->elementwise.unary({x.count, x.data(), y.data(), type, op, 0.75f}, lane_of(3));
      table->elementwise.unary({x.count, inplace.data(), inplace.data(), type, op, 0.75f}, lane_of(1));
      ASSERT_EQ(y.bytes, inplace.bytes) << table->name << c.dump();
      if (table->name != "reference" || type == DType::i32) {
        ASSERT_EQ(expected.bytes, y.bytes) << table->name << c.dump();
      } else if (c.value("data", "normal") == "normal") {
        for (int64_t i = 0; i < x.count; ++i) {
          if (std::isnan(y.get(i)) && std::isnan(expected.get(i))) continue;
          // exp amplifies the rounding of its argument
          const double size = std::fabs(static_cast<double>(y.get(i))), argument = op >= Unary::exponential ? 16 + 8 * std::fabs(static_cast<double>(x.get(i))) : 1;
          ASSERT_NEAR(y.get(i), expected.get(i), 1.05 * size * (2 * unit_roundoff(type) + argument * 0x1p-22) + least_spacing(type)) << c.dump() << x.get(i);
        }
      }
    }
    ++count;
  }
  std::cout << "unary: " << count << " cases\n";
  EXPECT_GT(count, 100);
}

TEST(Elementwise, BinaryCasesMatchTheModel) {
  int count = 0;
  for (const Case& c : load_cases("kernels_elementwise.json")) {
    if (c.at("kernel") != "binary") continue;
    const auto op = op_of<Binary>(c, kBinary);
    Random random{c.value("seed", uint64_t{1})};
    const DType type = dtype_of(c, "dtype", "f16");
    const int64_t n = c.at("count"), period = c.value("period", int64_t{0});
    const Array a = values(type, n, random, c), b = values(type, period > 0 ? period : n, random, c);
    Array expected(type, n);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t other = period > 0 ? i % period : i;
      if (type != DType::i32) {
        expected.set(i, canonical(model(op, a.get(i), b.get(other))));
        continue;
      }
      const uint32_t v = word(a, i), w = word(b, other);
      const auto s = static_cast<int32_t>(v), t = static_cast<int32_t>(w);
      const bool extremes = op == Binary::maximum || op == Binary::minimum;
      reinterpret_cast<uint32_t*>(expected.bytes.data())[i] = extremes ? static_cast<uint32_t>(model(op, s, t)) : model(op, v, w);
    }
    for (const KernelTable* table : kernel_tables()) {
      Array y(type, n), inplace = a;
      table->elementwise.binary({n, a.data(), b.data(), period, y.data(), type, op}, lane_of(3));
      table->elementwise.binary({n, inplace.data(), b.data(), period, inplace.data(), type, op}, lane_of(1));
      ASSERT_EQ(expected.bytes, y.bytes) << table->name << c.dump();  // the oracle rounds once too
      ASSERT_EQ(y.bytes, inplace.bytes) << table->name << c.dump();
    }
    ++count;
  }
  std::cout << "binary: " << count << " cases\n";
  EXPECT_GT(count, 50);
}

// --- reductions of any type ----------------------------------------------------------------------------------------

template <class T>
T model_node(Combine how, T a, T b) {
  if (how == Combine::product) return static_cast<T>(a * b);
  if (how == Combine::maximum) return extreme(a, b, true);
  if (how == Combine::minimum) return extreme(a, b, false);
  return static_cast<T>(a + b);
}

template <class T>
T model_tree(Combine how, const std::vector<T>& v, size_t first, size_t count) {
  if (count == 1) return v[first];
  size_t half = 1;
  while (half * 2 < count) half *= 2;
  return model_node(how, model_tree(how, v, first, half), model_tree(how, v, first + half, count - half));
}

__extension__ typedef __int128 Wide;

// Integers: extremes as they are, sums and products modulo 2^64 and cut, averages of the exact sum.
template <class T>
T model_integers(Combine how, const std::vector<T>& v) {
  if (how == Combine::maximum || how == Combine::minimum) return model_tree(how, v, 0, v.size());
  Wide sum = 0;
  uint64_t wrapped = how == Combine::product ? 1 : 0;
  for (const T x : v) {
    sum += static_cast<Wide>(x);
    wrapped = how == Combine::product ? wrapped * static_cast<uint64_t>(x) : wrapped + static_cast<uint64_t>(x);
  }
  return how == Combine::average ? static_cast<T>(sum / static_cast<Wide>(v.size())) : static_cast<T>(wrapped);
}

struct Inputs {
  std::vector<std::vector<uint8_t>> bytes;  // with one element more in front when not aligned
  std::vector<const void*> pointers;
  size_t element;

  Inputs(DType type, int inputs, int64_t count, Random& random, const Case& c) : element(static_cast<size_t>(dtype_bits(type)) / 8) {
    const size_t skip = c.value("unaligned", false) ? element : 0;
    for (int k = 0; k < inputs; ++k) {
      std::vector<uint8_t> data(skip + element * static_cast<size_t>(count));
      if (is_float(type) && type != DType::f64) {
        Array x(type, count);
        fill(x, random, c.value("data", "normal"));
        std::copy(x.bytes.begin(), x.bytes.end(), data.begin() + static_cast<int64_t>(skip));
      } else {
        for (int64_t i = 0; i < count; ++i) put(data.data() + skip + static_cast<size_t>(i) * element, type, random, c);
      }
      bytes.push_back(std::move(data));
      pointers.push_back(bytes.back().data() + skip);
    }
  }
  static void put(uint8_t* to, DType type, Random& random, const Case& c) {
    if (type == DType::f64) {
      const bool special = c.value("data", "normal") == "special" && random.below(6) == 0;
      const double extremes[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, -1e308, 1e308};
      const double v = special ? extremes[random.below(8)] : static_cast<double>(static_cast<int64_t>(random.next() >> 8)) * 0x1p-54 - 1;
      std::memcpy(to, &v, 8);
    } else {
      const uint64_t v = random.next();
      std::memcpy(to, &v, static_cast<size_t>(dtype_bits(type)) / 8);
    }
  }
  template <class T>
  std::vector<T> column(int64_t i) const {
    std::vector<T> v;
    for (const void* p : pointers) {
      T x;
      std::memcpy(&x, static_cast<const char*>(p) + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
      v.push_back(x);
    }
    return v;
  }
};

template <class T>
void put_as(std::vector<uint8_t>& y, int64_t i, T value) {
  std::memcpy(y.data() + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
}

template <class Code>
void model_short(Combine how, const Inputs& in, int64_t i, std::vector<uint8_t>& y) {
  std::vector<float> v;
  for (const Code code : in.column<Code>(i)) v.push_back(to_float(code));
  float value = model_tree(how, v, 0, v.size());
  if (how == Combine::average) value *= 1.0f / static_cast<float>(v.size());
  Code stored;
  store_float(&stored, value);
  put_as(y, i, stored);
}

std::vector<uint8_t> model_combine(Combine how, DType type, const Inputs& in, int64_t count) {
  std::vector<uint8_t> y(static_cast<size_t>(count) * in.element);
  for (int64_t i = 0; i < count; ++i) {
    switch (type) {
      case DType::i8: put_as(y, i, model_integers(how, in.column<int8_t>(i))); break;
      case DType::u8: put_as(y, i, model_integers(how, in.column<uint8_t>(i))); break;
      case DType::i16: put_as(y, i, model_integers(how, in.column<int16_t>(i))); break;
      case DType::u16: put_as(y, i, model_integers(how, in.column<uint16_t>(i))); break;
      case DType::i32: put_as(y, i, model_integers(how, in.column<int32_t>(i))); break;
      case DType::u32: put_as(y, i, model_integers(how, in.column<uint32_t>(i))); break;
      case DType::i64: put_as(y, i, model_integers(how, in.column<int64_t>(i))); break;
      case DType::u64: put_as(y, i, model_integers(how, in.column<uint64_t>(i))); break;
      case DType::f16: model_short<f16>(how, in, i, y); break;
      case DType::bf16: model_short<bf16>(how, in, i, y); break;
      case DType::f32: model_short<float>(how, in, i, y); break;
      default: {
        const auto v = in.column<double>(i);
        double value = model_tree(how, v, 0, v.size());
        if (how == Combine::average) value *= 1.0 / static_cast<double>(v.size());
        put_as(y, i, std::isnan(value) ? static_cast<double>(NAN) : value);
      }
    }
  }
  return y;
}

TEST(Combine, CasesMatchTheModelInEveryType) {
  int count = 0;
  for (const Case& c : load_cases("kernels_reduce.json")) {
    const auto how = op_of<Combine>(c, kCombine);
    const DType type = dtype_of(c, "dtype", "f16");
    const int64_t n = c.at("count");
    const int inputs = c.at("inputs");
    Random random{c.value("seed", uint64_t{1})};
    const Inputs in(type, inputs, n, random, c);
    const std::vector<uint8_t> expected = model_combine(how, type, in, n);
    for (const KernelTable* table : kernel_tables()) {
      const bool rounded = is_float(type) && how != Combine::maximum && how != Combine::minimum && inputs > 1;
      if (table->name == "reference" && rounded) continue;  // its sums round elsewhere
      std::vector<uint8_t> y(expected.size());
      table->reduce.combine({n, inputs, in.pointers.data(), type, how, y.data()}, lane_of(3));
      ASSERT_EQ(expected, y) << table->name << c.dump();
      Inputs same = in;  // into the last input
      for (size_t k = 0; k < same.bytes.size(); ++k) same.pointers[k] = same.bytes[k].data() + (same.bytes[k].size() - y.size());
      void* last = const_cast<void*>(same.pointers.back());
      table->reduce.combine({n, inputs, same.pointers.data(), type, how, last}, lane_of(1));
      ASSERT_TRUE(n == 0 || std::memcmp(last, y.data(), y.size()) == 0) << table->name << c.dump();
    }
    ++count;
  }
  std::cout << "combine: " << count << " cases\n";
  EXPECT_GT(count, 200);
}

}  // namespace
}  // namespace tandem::testing
