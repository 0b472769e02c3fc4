// SPDX-License-Identifier: Apache-2.0
#include "bench/data.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <new>
#include <string>

#include "tandem/base/half.h"
#include "tandem/base/int4.h"
#include "tandem/exec/topology.h"

namespace tandem::bench {

float Values::get(int64_t i) const {
  switch (dtype) {
    case DType::f32: return as<float>()[i];
    case DType::f16: return to_float(as<f16>()[i]);
    case DType::bf16: return to_float(as<bf16>()[i]);
    case DType::i8: return static_cast<float>(as<int8_t>()[i]);
    case DType::i4: return static_cast<float>(int4_get(bytes.data(), i));
    default: return NAN;
  }
}

void Values::set(int64_t i, float value) {
  switch (dtype) {
    case DType::f32: std::memcpy(bytes.data() + i * 4, &value, 4); return;
    case DType::f16: store_float(reinterpret_cast<f16*>(bytes.data()) + i, value); return;
    case DType::bf16: store_float(reinterpret_cast<bf16*>(bytes.data()) + i, value); return;
    case DType::i8: reinterpret_cast<int8_t*>(bytes.data())[i] = static_cast<int8_t>(value); return;
    case DType::i4: int4_set(bytes.data(), i, static_cast<int>(value)); return;
    default: return;
  }
}

namespace {

float random_float(Random& random, int low, int high) {
  const uint64_t bits = random.next();
  const auto mantissa = static_cast<uint32_t>(bits >> 41);
  const auto exponent = static_cast<uint32_t>(127 + low + static_cast<int>((bits & 0xffff) % static_cast<uint64_t>(high - low)));
  return float_from_bits(static_cast<uint32_t>(bits >> 16 & 1) << 31 | exponent << 23 | mantissa);
}

size_t free_memory() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  size_t kib = 0;
  while (file >> word) {
    if (word == "MemAvailable:") file >> kib;
  }
  return kib << 10;
}

}  // namespace

void fill(Values& values, Random& random, int low, int high) {
  if (!is_float(values.dtype)) {
    for (uint8_t& byte : values.bytes) byte = static_cast<uint8_t>(random.next() >> 32);
    return;
  }
  for (int64_t i = 0; i < values.count; ++i) values.set(i, random_float(random, low, high));
}

Pool::Pool(const void* block, size_t bytes, size_t wanted_bytes)
    : block_bytes_((bytes + 63) / 64 * 64), copies_(std::max<size_t>(2, (wanted_bytes + block_bytes_ - 1) / block_bytes_)) {
  auto pages = Pages::allocate(block_bytes_ * copies_);
  if (!pages) throw std::bad_alloc();
  pages_ = std::move(*pages);
  for (size_t i = 0; i < copies_; ++i) {
    if (block != nullptr) {
      std::memcpy(pages_.as<uint8_t>() + i * block_bytes_, block, bytes);
    } else {
      std::memset(pages_.as<uint8_t>() + i * block_bytes_, 1, bytes);
    }
  }
}

uint8_t* Pool::next() {
  turn_ = (turn_ + 1) % copies_;
  return pages_.as<uint8_t>() + turn_ * block_bytes_;
}

size_t pool_bytes(bool quick) {
  if (quick) return size_t{1} << 20;
  const size_t wanted = std::max<size_t>(size_t{512} << 20, 2 * topology().l3_bytes);
  const size_t free = free_memory();
  return free == 0 ? wanted : std::min(wanted, free / 4);
}

}  // namespace tandem::bench
