// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/exec/lane.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/cpu/rows.h"

// How row kernels write: small results to their place, so that the next kernel finds them in a cache; results larger
// than the caches hold go through a buffer in L1 and from there past them, which saves reading lines to be overwritten.
namespace tandem::TANDEM_ISA {

// Columns of one piece of a long row; its buffer stays in L1.
inline constexpr int64_t kPiece = 2048;
// Elements behind a row of scratch, so that two rows do not meet in one set of a cache.
inline constexpr int64_t kPadding = 256;
// Distance of a prefetch: about a piece, so that memory stays busy while a piece is written.
inline constexpr int64_t kAhead = 4096;

TANDEM_INLINE void prefetch(const void* p, int64_t bytes_ahead = kAhead) {
  __builtin_prefetch(static_cast<const char*>(p) + bytes_ahead);
}

// Outputs of so many bytes in all are not written into the caches.
inline constexpr int64_t kPastCaches = 32 << 20;
TANDEM_INLINE bool past_caches(int64_t bytes) { return bytes >= kPastCaches; }

// `bytes` from a buffer past the caches; whole lines where `to` has them.
TANDEM_INLINE void stream_bytes(void* to, const void* from, int64_t bytes) {
  constexpr int64_t kLine = 64, kFloats = kLine / 4;
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
  const int64_t before = min64(bytes, static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % kLine));
  __builtin_memcpy(out, in, static_cast<size_t>(before));
  int64_t done = before;
  for (; done + kLine <= bytes; done += kLine) {
    float* target = reinterpret_cast<float*>(out + done);
    const float* source = reinterpret_cast<const float*>(in + done);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kFloats; i += kLanes) stream(target + i, load(source + i));
  }
  __builtin_memcpy(out + done, in + done, static_cast<size_t>(bytes - done));
}

// Where a row or piece is written: its own place, or a buffer that finish() empties.
class Out {
 public:
  TANDEM_INLINE Out(void* place, void* buffer, bool past)
      : place_(place), to_(past ? buffer : place) {}
  TANDEM_INLINE void* data() const { return to_; }
  TANDEM_INLINE void finish(int64_t bytes) const {
    if (to_ != place_) stream_bytes(place_, to_, bytes);
  }

 private:
  void* place_;
  void* to_;
};

// Whole vectors, and what is left behind them.
struct Whole {};
struct Some {
  int64_t count;
};
template <class T>
TANDEM_INLINE Vec load_span(const void* p, int64_t i, Whole) { return T::load(p, i); }
template <class T>
TANDEM_INLINE Vec load_span(const void* p, int64_t i, Some some) { return load_tail<T>(p, i, some.count); }
template <class T>
TANDEM_INLINE void store_span(void* p, int64_t i, Vec v, Whole) { T::store(p, i, v); }
template <class T>
TANDEM_INLINE void store_span(void* p, int64_t i, Vec v, Some some) { store_tail<T>(p, i, v, some.count); }

// body(i, Whole or Some) over [0, n).
template <class Body>
TANDEM_INLINE void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + kLanes <= n; i += kLanes) body(i, Whole());
  if (i < n) body(i, Some{n - i});
}

// Four results of places i, j, k, l: one look for NaN, which is rare, instead of four replacements.
template <class T>
TANDEM_INLINE void store4(void* p, int64_t i, Vec a, int64_t j, Vec b, int64_t k, Vec c, int64_t l, Vec d) {
  if (any_nan(a, b, c, d)) [[unlikely]] a = canonical(a), b = canonical(b), c = canonical(c), d = canonical(d);
  T::store_number(p, i, a);
  T::store_number(p, j, b);
  T::store_number(p, k, c);
  T::store_number(p, l, d);
}

// y[i] = value(i, span) for i in [0, n), one rounding; y may be what value reads at the same place.
template <class T, class Value>
TANDEM_INLINE void write_vectors(void* y, int64_t n, const Value& value) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    const Vec a = value(i, Whole()), b = value(i + kLanes, Whole());
    const Vec c = value(i + 2 * kLanes, Whole()), d = value(i + 3 * kLanes, Whole());
    store4<T>(y, i, a, i + kLanes, b, i + 2 * kLanes, c, i + 3 * kLanes, d);
  }
  for (; i + kLanes <= n; i += kLanes) T::store(y, i, value(i, Whole()));
  if (i < n) store_tail<T>(y, i, value(i, Some{n - i}), n - i);
}

// Calls body(row, first, last) for rows cut into pieces of kPiece columns.
template <class Body>
TANDEM_INLINE void for_pieces(int64_t rows, int64_t n, int64_t work, Lane& lane, const Body& body) {
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  lane.team->parallel_for(rows * pieces, grain_of(min64(n, kPiece) * work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % pieces * kPiece;
      body(task / pieces, first, min64(n, first + kPiece));
    }
    stream_fence();
  });
}

}  // namespace tandem::TANDEM_ISA
