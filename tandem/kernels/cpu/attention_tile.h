// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/attention.h"
#include "tandem/kernels/cpu/rows.h"

// The inner loops of attention over a tile: kTile positions of one KV head against four queries at a time, read from
// the cache itself or widened to f32 in L1. What is four wide lies [position][query], so that weights are broadcast and
// sums are added in rising position.
namespace tandem::TANDEM_ISA {

inline constexpr int64_t kChunk = 256;
inline constexpr int64_t kTile = 16;
inline constexpr int kQuad = 4;
// Positions whose scores, and vectors of columns whose sums, stay in registers.
inline constexpr int kAtOnce = kRegisters >= 32 ? 4 : kRegisters >= 16 ? 2 : 1;
inline constexpr int kValueVecs = kAtOnce;

// Rows of one KV head in a cache: row i at base + offset[i] * bytes of an element.
struct CacheRows {
  const void* base = nullptr;
  const int64_t* offset = nullptr;
  int64_t count = 0;
};

// Asks for `bytes` of rows first, first + step, .. into L2.
TANDEM_INLINE void fetch_rows(const CacheRows& rows, int64_t element, int64_t bytes, int64_t first, int64_t step) {
  constexpr int64_t kLine = 64;
  for (int64_t i = first; i < rows.count; i += step) {
    const char* p = static_cast<const char*>(rows.base) + rows.offset[i] * element;
    for (int64_t byte = 0; byte < bytes; byte += kLine) __builtin_prefetch(p + byte, 0, 2);
  }
}

// Row i of the cache as f32 to tile + i * width: (x + shift[d]) * scale[d] where the cache has scales. Columns from
// head_dim on are left alone.
struct DecodeArgs {
  CacheRows rows;
  int64_t head_dim = 0, width = 0;
  const float *scale = nullptr, *shift = nullptr;
  float* tile = nullptr;
};

// (x + shift) * scale where the element is an int8.
template <class T>
TANDEM_INLINE Vec widened(Vec v, const float* scale, const float* shift, int64_t column, int64_t left) {
  if constexpr (sizeof(typename T::Element) > 1) return v;
  if (shift != nullptr) v = add(v, load_up_to<F32>(shift, column, left));
  return mul(v, load_up_to<F32>(scale, column, left));
}

// Calls body with the type of a cache's elements.
template <class Body>
TANDEM_INLINE void with_cache(DType type, const Body& body) {
  if (type == DType::i8) return body(I8());
  with_float(type, body);
}

template <class T>
void decode_tile(const DecodeArgs& args) {
  constexpr int64_t kElement = sizeof(typename T::Element);
  const DecodeArgs a = args;  // nothing that stores may change
  const int64_t whole = a.head_dim / kLanes * kLanes;
  for (int64_t i = 0; i < a.rows.count; ++i) {
    const void* from = at(a.rows.base, a.rows.offset[i] * kElement);
    float* to = a.tile + i * a.width;
#pragma GCC unroll 8
    for (int64_t d = 0; d < whole; d += kLanes)
      store(to + d, widened<T>(T::load(from, d), a.scale, a.shift, d, kLanes));
    if (whole == a.head_dim) continue;
    const int64_t left = a.head_dim - whole;
    store(to + whole, widened<T>(load_tail<T>(from, whole, left), a.scale, a.shift, whole, left));
  }
}

// scores[t][q] = dot(query q, row t). The same places of the rows of `next` are fetched into L1 on the way, a few at a
// time: asked for at once they would wait for each other.
template <class T>
TANDEM_INLINE void score_rows(const float* queries, const void* const* rows, const void* const* next, int64_t width,
                              float* scores) {
  constexpr int64_t kElement = sizeof(typename T::Element);
  float blocks[kAtOnce][16];
#pragma GCC unroll 4
  for (int64_t g = 0; g < 16; g += kLanes) {
    Vec sum[kAtOnce][kQuad];
#pragma GCC unroll 4
    for (auto& row : sum) row[0] = row[1] = row[2] = row[3] = set(0.0f);
    for (int64_t d = g; d < width; d += 16) {
      Vec key[kAtOnce];
#pragma GCC unroll 4
      for (int i = 0; i < kAtOnce; ++i) key[i] = T::load(rows[i], d);
      if (next != nullptr && d * kElement % 64 == 0) {
#pragma GCC unroll 4
        for (int i = 0; i < kAtOnce; ++i) __builtin_prefetch(at(next[i], d * kElement));
      }
#pragma GCC unroll 4
      for (int q = 0; q < kQuad; ++q) {
        const Vec query = load(queries + q * width + d);
#pragma GCC unroll 4
        for (int i = 0; i < kAtOnce; ++i) sum[i][q] = fma(query, key[i], sum[i][q]);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kAtOnce; ++i) store(blocks[i] + g, quad_sums(sum[i][0], sum[i][1], sum[i][2], sum[i][3]));
  }
#pragma GCC unroll 4
  for (int i = 0; i < kAtOnce; ++i) tree_of_quads(blocks[i], scores + i * kQuad);
}

// Whole groups of kAtOnce rows are computed.
template <class T>
void score_tile(const float* queries, const void* const* rows, const void* const* next, int64_t count, int64_t width,
                float* scores) {
  for (int64_t t = 0; t < count; t += kAtOnce) {
    score_rows<T>(queries, rows + t, next == nullptr ? nullptr : next + t, width, scores + t * kQuad);
  }
}

// values[q][d] += p[t][q] * row t [d] in rising t for kVecs vectors of columns of kQueries queries.
template <class T, int kQueries, int kVecs>
TANDEM_INLINE void weigh_columns(const float* p, const void* const* rows, const void* const* next, int64_t column,
                                 int64_t count, int64_t width, float* values) {
  constexpr int64_t kElement = sizeof(typename T::Element);
  Vec sum[kQueries][kVecs];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int i = 0; i < kVecs; ++i) sum[q][i] = load(values + q * width + column + i * kLanes);
  }
  for (int64_t t = 0; t < count; ++t) {
    Vec row[kVecs];
#pragma GCC unroll 4
    for (int i = 0; i < kVecs; ++i) row[i] = T::load(rows[t], column + i * kLanes);
    if (next != nullptr && column * kElement % 64 == 0) {
#pragma GCC unroll 4
      for (int64_t b = 0; b < kVecs * kLanes * kElement; b += 64)
        __builtin_prefetch(at(next[t], column * kElement + b));
    }
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const Vec weight = set(p[t * kQuad + q]);
#pragma GCC unroll 4
      for (int i = 0; i < kVecs; ++i) sum[q][i] = fma(weight, row[i], sum[q][i]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int i = 0; i < kVecs; ++i) store(values + q * width + column + i * kLanes, sum[q][i]);
  }
}

template <class T, int kQueries>
void weigh_tile(const float* p, const void* const* rows, const void* const* next, int64_t count, int64_t width,
                float* values) {
  constexpr int64_t kStep = kValueVecs * kLanes;
  int64_t d = 0;
  for (; d + kStep <= width; d += kStep) weigh_columns<T, kQueries, kValueVecs>(p, rows, next, d, count, width, values);
  for (; d < width; d += kLanes) weigh_columns<T, kQueries, 1>(p, rows, next, d, count, width, values);
}

}  // namespace tandem::TANDEM_ISA
