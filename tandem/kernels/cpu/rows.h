// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/dtype.h"
#include "tandem/base/int4.h"
#include "tandem/kernels/cpu/vec.h"

// Rows of any float type in and out of f32.
namespace tandem::TANDEM_ISA {

TANDEM_INLINE int64_t element_bytes(DType type) {
  return type == DType::f32 || type == DType::i32 ? 4 : type == DType::i8 ? 1 : 2;
}
TANDEM_INLINE const void* at(const void* base, int64_t bytes) { return static_cast<const char*>(base) + bytes; }
TANDEM_INLINE void* at(void* base, int64_t bytes) { return static_cast<char*>(base) + bytes; }

// One element at any address: callers' buffers need not be aligned.
template <class T>
TANDEM_INLINE T element_at(const void* p, int64_t i) {
  T value;
  __builtin_memcpy(&value, static_cast<const char*>(p) + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}
template <class T>
TANDEM_INLINE void put_element(void* p, int64_t i, float v) {
  T value;
  store_float(&value, v);
  __builtin_memcpy(static_cast<char*>(p) + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

// Element types of weights and rows: vector and scalar loads at an element index, a vector store.
struct F32 {
  static constexpr bool kKeepsNan = true;  // store_number() of a NaN gives some NaN
  using Element = float;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return TANDEM_ISA::load(static_cast<const float*>(p) + i); }
  TANDEM_INLINE static float one(const void* p, int64_t i) { return element_at<float>(p, i); }
  TANDEM_INLINE static void store(void* p, int64_t i, Vec v) {
    TANDEM_ISA::store(static_cast<float*>(p) + i, canonical(v));
  }
  TANDEM_INLINE static void store_number(void* p, int64_t i, Vec v) {
    TANDEM_ISA::store(static_cast<float*>(p) + i, v);
  }
  TANDEM_INLINE static void put(void* p, int64_t i, float v) { put_element<float>(p, i, v); }
};
// f32 in scratch: bits as they are.
struct Plain {
  using Element = float;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return TANDEM_ISA::load(static_cast<const float*>(p) + i); }
  TANDEM_INLINE static float one(const void* p, int64_t i) { return static_cast<const float*>(p)[i]; }
  TANDEM_INLINE static void store(void* p, int64_t i, Vec v) { TANDEM_ISA::store(static_cast<float*>(p) + i, v); }
  TANDEM_INLINE static void put(void* p, int64_t i, float v) { static_cast<float*>(p)[i] = v; }
};
struct F16 {
  static constexpr bool kKeepsNan = true;
  using Element = f16;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return load_f16(static_cast<const f16*>(p) + i); }
  TANDEM_INLINE static float one(const void* p, int64_t i) { return to_float(element_at<f16>(p, i)); }
  TANDEM_INLINE static void store(void* p, int64_t i, Vec v) { store_f16(static_cast<f16*>(p) + i, v); }
  TANDEM_INLINE static void store_number(void* p, int64_t i, Vec v) { store_f16_number(static_cast<f16*>(p) + i, v); }
  TANDEM_INLINE static void put(void* p, int64_t i, float v) { put_element<f16>(p, i, v); }
};
struct Bf16 {
  static constexpr bool kKeepsNan = false;
  using Element = bf16;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return load_bf16(static_cast<const bf16*>(p) + i); }
  TANDEM_INLINE static float one(const void* p, int64_t i) { return to_float(element_at<bf16>(p, i)); }
  TANDEM_INLINE static void store(void* p, int64_t i, Vec v) { store_bf16(static_cast<bf16*>(p) + i, v); }
  TANDEM_INLINE static void store_number(void* p, int64_t i, Vec v) { store_bf16_number(static_cast<bf16*>(p) + i, v); }
  TANDEM_INLINE static void put(void* p, int64_t i, float v) { put_element<bf16>(p, i, v); }
};
struct I8 {
  using Element = int8_t;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return to_f32(load_i8(static_cast<const int8_t*>(p) + i)); }
  TANDEM_INLINE static float one(const void* p, int64_t i) { return static_cast<const int8_t*>(p)[i]; }
};
struct I32 {
  using Element = int32_t;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return to_f32(load_i(static_cast<const int32_t*>(p) + i)); }
  TANDEM_INLINE static float one(const void* p, int64_t i) {
    return static_cast<float>(element_at<int32_t>(p, i));
  }
};
struct I4 {
  using Element = uint8_t;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) { return load_i4(static_cast<const uint8_t*>(p), i); }
  TANDEM_INLINE static float one(const void* p, int64_t i) {
    return static_cast<float>(int4_get(static_cast<const uint8_t*>(p), i));
  }
};

// Calls body with the element type; every dtype that kernels read or write as rows.
template <class Body>
TANDEM_INLINE void with_float(DType type, const Body& body) {
  if (type == DType::f16) return body(F16());
  if (type == DType::bf16) return body(Bf16());
  return body(F32());
}
template <class Body>
TANDEM_INLINE void with_weight(DType type, const Body& body) {
  if (type == DType::i8) return body(I8());
  if (type == DType::i4) return body(I4());
  with_float(type, body);
}

// The first `count` (< kLanes) elements, zeros behind them.
template <class T>
TANDEM_INLINE Vec load_tail(const void* p, int64_t i, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = T::one(p, i + lane);
  return load(lanes);
}
template <class T>
TANDEM_INLINE void store_tail(void* p, int64_t i, Vec v, int64_t count) {
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t lane = 0; lane < count; ++lane) T::put(p, i + lane, lanes[lane]);
}
template <class T>
TANDEM_INLINE Vec load_up_to(const void* p, int64_t i, int64_t count) {
  return count >= kLanes ? T::load(p, i) : load_tail<T>(p, i, count);
}
template <class T>
TANDEM_INLINE void store_up_to(void* p, int64_t i, Vec v, int64_t count) {
  if (count >= kLanes) return T::store(p, i, v);
  store_tail<T>(p, i, v, count);
}

// Elements [first, first + count) of a row to f32, and back with one rounding.
template <class T>
TANDEM_INLINE void read_row(const void* from, int64_t first, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, T::load(from, first + i));
  for (; i < count; ++i) to[i] = T::one(from, first + i);
}
template <class T>
TANDEM_INLINE void write_row(const float* from, int64_t count, void* to, int64_t first) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) T::store(to, first + i, load(from + i));
  for (; i < count; ++i) T::put(to, first + i, from[i]);
}

}  // namespace tandem::TANDEM_ISA
