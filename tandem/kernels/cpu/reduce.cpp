// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/rows.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kColumns = 1024;  // columns of one task

// Runs body(row, first, last) over rows cut into pieces of kColumns.
template <class Body>
void for_pieces(int64_t rows, int64_t n, Lane& lane, const Body& body) {
  const int64_t pieces = (n + kColumns - 1) / kColumns;
  lane.team->parallel_for(rows * pieces, grain_of(min64(n, kColumns)), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % pieces * kColumns;
      body(task / pieces, first, min64(n, first + kColumns));
    }
  });
}

void sum_piece(const SumRowsArgs& args, int64_t row, int64_t first, int64_t last) {
  for (int64_t c = first; c < last; c += kLanes) {
    const int64_t count = last - c;
    TreeSum tree;
    for (int rank = 0; rank < args.ranks; ++rank) {
      tree.push(load_up_to<F32>(args.inputs[rank * args.rows + row], c, count));
    }
    Vec sum = tree.finish();
    for (int i = 0; i < args.biases; ++i) sum = add(sum, load_up_to<F32>(args.bias[i], c, count));
    store_up_to<F32>(args.y_rows[row], c, sum, count);
  }
}

template <class T>
void add_piece(float* y, const void* x, int64_t first, int64_t last) {
  for (int64_t c = first; c < last; c += kLanes) {
    const int64_t count = last - c;
    store_up_to<F32>(y, c, add(load_up_to<F32>(y, c, count), load_up_to<T>(x, c, count)), count);
  }
}

// An integer whose 24 upper bits round to bf16 as the whole does: the rest is folded into the lowest kept bit.
float sticky_float(int32_t value) {
  const bool negative = value < 0;
  uint32_t magnitude = negative ? 0u - static_cast<uint32_t>(value) : static_cast<uint32_t>(value);
  if (magnitude >= 1u << 24) magnitude = (magnitude & ~0xffu) | ((magnitude & 0xffu) != 0 ? 0x100u : 0u);
  const float exact = static_cast<float>(magnitude);
  return negative ? -exact : exact;
}

template <class T>
void cast_integers(const int32_t* x, void* y, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) T::put(y, i, sticky_float(x[i]));
}
template <>
void cast_integers<F32>(const int32_t* x, void* y, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) F32::put(y, i, static_cast<float>(x[i]));
}

template <class To, class From>
void cast_floats(const void* x, void* y, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; i += kLanes) store_up_to<To>(y, i, load_up_to<From>(x, i, last - i), last - i);
}

}  // namespace

void sum_rows(const SumRowsArgs& args, Lane& lane) {
  for_pieces(args.rows, args.n, lane,
             [&](int64_t row, int64_t first, int64_t last) { sum_piece(args, row, first, last); });
}

void add_rows(const AddRowsArgs& args, Lane& lane) {
  for_pieces(args.rows, args.n, lane, [&](int64_t row, int64_t first, int64_t last) {
    with_float(args.x_dtype, [&]<class T>(T) { add_piece<T>(args.y_rows[row], args.x_rows[row], first, last); });
  });
}

void cast(const CastArgs& args, Lane& lane) {
  for_pieces(1, args.count, lane, [&](int64_t, int64_t first, int64_t last) {
    with_float(args.y_dtype, [&]<class To>(To) {
      if (args.x_dtype == DType::i32) {
        return cast_integers<To>(static_cast<const int32_t*>(args.x), args.y, first, last);
      }
      with_float(args.x_dtype, [&]<class From>(From) { cast_floats<To, From>(args.x, args.y, first, last); });
    });
  });
}

}  // namespace tandem::TANDEM_ISA
