// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>

#include "tandem/kernels/pack.h"
#include "tandem/kernels/test_data.h"

// Problems of tests/cases/kernels_golden.json: a family and its parameters become inputs and a function that computes
// some of the rows.
namespace tandem::testing {

using Bytes = std::vector<uint8_t>;

struct GoldenProblem {
  int64_t rows = 0;
  // The output of rows [first, first + count), each row's bytes apart. Not called where the table lacks the family.
  std::function<std::vector<Bytes>(const KernelTable&, Lane&, int64_t first, int64_t count)> run;
};

struct GoldenFamily {
  const char* name;
  bool (*present)(const KernelTable&);
  GoldenProblem (*make)(const Case&);
};

// golden_products_test.h: gemm and its kin. golden_rows_test.h: everything that works on rows or elements.
std::vector<GoldenFamily> golden_products();
std::vector<GoldenFamily> golden_rows();

inline const void* at(const Array& array, int64_t element) {
  return array.bytes.data() + dtype_bytes(array.dtype, element);
}
inline void* at(Array& array, int64_t element) { return array.bytes.data() + dtype_bytes(array.dtype, element); }
template <class T>
const T* as(const Array& array, int64_t element = 0) {
  return static_cast<const T*>(at(array, element));
}
template <class T>
T* as(Array& array, int64_t element = 0) {
  return static_cast<T*>(at(array, element));
}

inline Array filled(DType type, int64_t count, Random& random, const std::string& kind = "normal") {
  Array array(type, count);
  fill(array, random, kind);
  return array;
}
using SharedArray = std::shared_ptr<const Array>;
inline SharedArray shared(Array array) { return std::make_shared<const Array>(std::move(array)); }
// Bits as they come, for integers of any width.
inline Array noise(DType type, int64_t count, Random& random) {
  Array array(type, count);
  for (uint8_t& byte : array.bytes) byte = static_cast<uint8_t>(random.next());
  return array;
}

// An output cut into rows; several outputs of one row are put together with join().
inline std::vector<Bytes> cut(const Array& y, int64_t rows) {
  const size_t width = rows > 0 ? y.bytes.size() / static_cast<size_t>(rows) : 0;
  std::vector<Bytes> done;
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    const auto* begin = y.bytes.data() + r * width;
    done.emplace_back(begin, begin + width);
  }
  return done;
}
inline std::vector<Bytes> join(std::vector<Bytes> a, const std::vector<Bytes>& b) {
  for (size_t r = 0; r < a.size(); ++r) a[r].insert(a[r].end(), b[r].begin(), b[r].end());
  return a;
}

// The enumerator whose name stands at `key`; the names in the order of the enumeration.
template <class Enum>
Enum named(const Case& c, const char* key, std::initializer_list<const char*> names) {
  const std::string wanted = c.value(key, std::string(*names.begin()));
  int index = 0;
  for (const char* name : names) {
    if (wanted == name) return static_cast<Enum>(index);
    ++index;
  }
  throw std::invalid_argument("no such " + std::string(key) + ": " + wanted);
}

}  // namespace tandem::testing
