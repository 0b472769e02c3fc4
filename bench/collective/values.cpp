// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "bench/collective/operation.h"
#include "tandem/base/half.h"

namespace tandem::bench {
namespace {

// Prime, so that no chunk of a collective begins at the same value as another.
constexpr int64_t kPeriod = 8191;

// Sums: 0 to 7 (floats and signed types: -4 to 3). Products: 1, and 2 on one rank, so that nothing overflows. Extremes
// and averages as sums.
int64_t value_of(int rank, int64_t index, int ranks, Combine how, bool with_sign) {
  const auto mixed = static_cast<uint64_t>(index * 2654435761 + rank * 40503 + 12345);
  const uint64_t spread = mixed * 0x9e3779b97f4a7c15u >> 40;
  if (how == Combine::product) return index % ranks == rank ? 2 : 1;
  const auto small = static_cast<int64_t>(spread % 8);
  return with_sign ? small - 4 : small;
}

template <class T>
void put(std::vector<std::byte>& table, int64_t index, T value) {
  std::memcpy(table.data() + static_cast<size_t>(index) * sizeof(T), &value, sizeof(T));
}

// `value` / `divisor` in the type's own arithmetic: floats multiply by the rounded inverse, integers truncate.
void put_number(std::vector<std::byte>& table, int64_t index, DType type, int64_t value, int64_t divisor) {
  const float inverse = 1.0f / static_cast<float>(divisor);
  const float real = static_cast<float>(value) * inverse;
  const int64_t whole = value / divisor;
  switch (type) {
    case DType::f16: return put(table, index, to_f16(real));
    case DType::bf16: return put(table, index, to_bf16(real));
    case DType::f32: return put(table, index, real);
    case DType::f64: return put(table, index, static_cast<double>(value) * (1.0 / static_cast<double>(divisor)));
    default: break;
  }
  const size_t bytes = dtype_bytes(type, 1);  // little-endian, as everything here
  std::memcpy(table.data() + static_cast<size_t>(index) * bytes, &whole, bytes);
}

int64_t combined(int64_t index, int ranks, Combine how, bool with_sign) {
  int64_t value = value_of(0, index, ranks, how, with_sign);
  for (int rank = 1; rank < ranks; ++rank) {
    const int64_t next = value_of(rank, index, ranks, how, with_sign);
    switch (how) {
      case Combine::sum:
      case Combine::average: value += next; break;
      case Combine::product: value *= next; break;
      case Combine::maximum: value = std::max(value, next); break;
      case Combine::minimum: value = std::min(value, next); break;
    }
  }
  return value;
}

bool has_sign(DType type) {
  return is_float(type) || type == DType::i8 || type == DType::i16 || type == DType::i32 || type == DType::i64;
}

}  // namespace

Values::Values(DType type, Combine how, int ranks) : element_(dtype_bytes(type, 1)) {
  const bool with_sign = has_sign(type);
  tables_.assign(static_cast<size_t>(ranks) + 1, std::vector<std::byte>(static_cast<size_t>(kPeriod) * element_));
  for (int64_t i = 0; i < kPeriod; ++i) {
    for (int rank = 0; rank < ranks; ++rank) {
      put_number(tables_[static_cast<size_t>(rank)], i, type, value_of(rank, i, ranks, how, with_sign), 1);
    }
    put_number(tables_.back(), i, type, combined(i, ranks, how, with_sign), how == Combine::average ? ranks : 1);
  }
}

const std::byte* Values::of(int source) const {
  return source < 0 ? tables_.back().data() : tables_[static_cast<size_t>(source)].data();
}

void Values::write(const Stretch& stretch, void* to) const {
  auto* out = static_cast<std::byte*>(to) + static_cast<size_t>(stretch.at) * element_;
  for (int64_t done = 0; done < stretch.count;) {
    const int64_t from = (stretch.first + done) % kPeriod;
    const int64_t some = std::min(kPeriod - from, stretch.count - done);
    std::memcpy(out + static_cast<size_t>(done) * element_, of(stretch.source) + static_cast<size_t>(from) * element_,
                static_cast<size_t>(some) * element_);
    done += some;
  }
}

int64_t Values::count_wrong(const Stretch& stretch, const void* got) const {
  const auto* in = static_cast<const std::byte*>(got) + static_cast<size_t>(stretch.at) * element_;
  int64_t wrong = 0;
  for (int64_t done = 0; done < stretch.count;) {
    const int64_t from = (stretch.first + done) % kPeriod;
    const int64_t some = std::min(kPeriod - from, stretch.count - done);
    const std::byte* a = in + static_cast<size_t>(done) * element_;
    const std::byte* b = of(stretch.source) + static_cast<size_t>(from) * element_;
    if (std::memcmp(a, b, static_cast<size_t>(some) * element_) != 0) {
      for (size_t i = 0; i < static_cast<size_t>(some); ++i)
        wrong += std::memcmp(a + i * element_, b + i * element_, element_) != 0;
    }
    done += some;
  }
  return wrong;
}

}  // namespace tandem::bench
