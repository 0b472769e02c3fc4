// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/base/half.h"
#include "tandem/base/int4.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/table.h"

// For the tests of this floor: data, storage, and cases from files.
namespace tandem::testing {

struct Random {
  uint64_t state;

  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  float unit() { return static_cast<float>(static_cast<int64_t>(next() >> 40) - (1 << 23)) * 0x1p-23f; }  // [-1, 1)
};

// An array of any stored type; exactly as large as its elements, so that a read behind it is found.
struct Array {
  DType dtype = DType::none;
  int64_t count = 0;
  std::vector<uint8_t> bytes;

  Array(DType type, int64_t elements)
      : dtype(type), count(elements), bytes(dtype_bytes(type, elements), uint8_t{0}) {}
  void* data() { return bytes.data(); }
  const void* data() const { return bytes.data(); }
  int64_t row_bytes(int64_t n) const { return static_cast<int64_t>(dtype_bytes(dtype, n)); }

  float get(int64_t i) const {
    switch (dtype) {
      case DType::f32: return reinterpret_cast<const float*>(bytes.data())[i];
      case DType::f16: return to_float(reinterpret_cast<const f16*>(bytes.data())[i]);
      case DType::bf16: return to_float(reinterpret_cast<const bf16*>(bytes.data())[i]);
      case DType::i8: return static_cast<float>(reinterpret_cast<const int8_t*>(bytes.data())[i]);
      case DType::i4: return static_cast<float>(int4_get(bytes.data(), i));
      default: return NAN;
    }
  }
  void set(int64_t i, float value) {
    switch (dtype) {
      case DType::f32: std::memcpy(bytes.data() + i * 4, &value, 4); return;
      case DType::f16: store_float(reinterpret_cast<f16*>(bytes.data()) + i, value); return;
      case DType::bf16: store_float(reinterpret_cast<bf16*>(bytes.data()) + i, value); return;
      case DType::i8: reinterpret_cast<int8_t*>(bytes.data())[i] = static_cast<int8_t>(value); return;
      case DType::i4: int4_set(bytes.data(), i, static_cast<int>(value)); return;
      default: return;
    }
  }
};

inline float special_value(Random& random) {
  constexpr float kSpecial[] = {0.0f,      -0.0f,     INFINITY,   -INFINITY, NAN,      1e-40f,  -1e-40f, 0x1p-24f,
                                -0x1p-24f, 0x1p-149f, 0x1p-133f,  65504.0f,  -65504.f, 3e38f,   -3e38f,  6.1e-5f,
                                1.0f,      -1.0f,     0x1.002p0f, 5.9e-8f,   1e-38f,   -1e-38f, 0.5f,    2.0f};
  return kSpecial[random.below(static_cast<int64_t>(std::size(kSpecial)))];
}

// "normal": [-1, 1). "wide": exponents over 2^24. "special": one value in eight is an extreme one. Integers: full range.
inline void fill(Array& array, Random& random, const std::string& kind) {
  for (int64_t i = 0; i < array.count; ++i) {
    if (array.dtype == DType::i8 || array.dtype == DType::i4) {
      const int range = array.dtype == DType::i8 ? 256 : 16;
      array.set(i, static_cast<float>(random.below(range) - range / 2));
      continue;
    }
    float value = random.unit();
    if (kind == "wide") value = std::ldexp(value, static_cast<int>(random.below(24)) - 12);
    if (kind == "special" && random.below(8) == 0) value = special_value(random);
    array.set(i, value);
  }
}

// A lane over a team of its own.
struct OwnLane {
  ThreadTeam team;
  Scratch scratch;
  Lane lane;

  explicit OwnLane(int threads) : team(threads) {
    set_kernel_float_mode();
    lane.team = &team;
    lane.scratch = &scratch;
  }
};
inline Lane& lane_of(int threads) {
  static OwnLane lanes[] = {OwnLane(1), OwnLane(2), OwnLane(3), OwnLane(4)};
  return lanes[threads - 1].lane;
}

// Every table under the bit promise.
inline std::vector<const KernelTable*> exact_tables() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : kernel_tables()) {
    if (table->name != "reference") tables.push_back(table);
  }
  return tables;
}

using Case = nlohmann::json;

// The cases of tests/cases/<file>: each entry is an object whose lists are expanded into every combination.
inline std::vector<Case> load_cases(const std::string& file) {
  std::ifstream stream(std::string(TANDEM_SOURCE_DIR) + "/tests/cases/" + file);
  const auto entries = nlohmann::json::parse(stream);
  std::vector<Case> done;
  for (const auto& entry : entries.at("cases")) {
    std::vector<Case> open{Case::object()};
    for (const auto& [key, value] : entry.items()) {
      std::vector<Case> wider;
      for (const Case& base : open) {
        for (const auto& choice : value.is_array() ? value : nlohmann::json::array({value})) {
          wider.push_back(base);
          wider.back()[key] = choice;
        }
      }
      open = std::move(wider);
    }
    done.insert(done.end(), open.begin(), open.end());
  }
  return done;
}

inline DType dtype_of(const Case& c, const char* key, const char* fallback) {
  return dtype_from_name(c.value(key, std::string(fallback)));
}

inline double unit_roundoff(DType type) {
  return type == DType::f16 ? 0x1p-11 : type == DType::bf16 ? 0x1p-8 : 0x1p-24;
}
inline double least_spacing(DType type) {
  return type == DType::f16 ? 0x1p-24 : type == DType::bf16 ? 0x1p-133 : 0x1p-149;
}

// tree() of numerics.md, as it is written there.
inline float tree(const float* v, size_t n) {
  if (n == 1) return v[0];
  size_t half = 1;
  while (half * 2 < n) half *= 2;
  return tree(v, half) + tree(v + half, n - half);
}

}  // namespace tandem::testing
