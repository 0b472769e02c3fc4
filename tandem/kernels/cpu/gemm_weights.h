// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/few_turned.h"
#include "tandem/kernels/cpu/gemm_block.h"
#include "tandem/kernels/cpu/gemm_tile.h"

// One block of kColumns columns of any weight: rows of it as a codec reads them, decoded strips, scales and offsets.
namespace tandem::TANDEM_ISA {

// The piece that comes next, whose lines the `calls` tiles of this one prefetch: a contiguous one in even steps, of the
// rows of a matrix all lines of a row, then the next row.
struct Ahead {
  const char* first = nullptr;
  int64_t count = 0, pitch = 0, lines = 0;  // rows; from row to row; lines of each, a power of two
  int64_t bytes = 0;                        // of a contiguous piece; else 0

  TANDEM_INLINE void aim(int64_t call, int64_t calls, Tile& tile) const {
    const int64_t groups = max64(1, count / kSteps);
    if (bytes != 0) {
      tile.next_step = (bytes + calls * groups - 1) / (calls * groups);
      tile.next_lines = (tile.next_step + 63) / 64;
      tile.next = first + call * groups * tile.next_step;
      return;
    }
    int64_t spans = 1;  // of one row
    while (spans < lines && spans * kSteps < calls) spans *= 2;
    int shift = 0;  // and how often each is asked for, so that all calls fetch
    while (spans * kSteps << (shift + 1) <= calls) ++shift;
    const int64_t rows = (groups + (spans << shift) - 1) / (spans << shift);
    const bool some = call * rows < count;
    tile.next = some ? first + call * rows * pitch : reinterpret_cast<const char*>(tile.x);
    tile.next_step = some ? pitch : 0;
    tile.next_lines = lines / spans;
    tile.next_mask = some ? (spans << shift) - 1 : 0;
    tile.next_shift = shift;
  }
};

TANDEM_INLINE int64_t bits_of(DType type) { return type == DType::i4 ? 4 : 8 * element_bytes(type); }

class WeightBlock {
 public:
  WeightBlock(const Weight& w, int64_t k, int64_t column, int64_t columns)
      : w_(w), k_(k), column_(column), columns_(columns), bits_(bits_of(w.dtype)) {
    const bool bytes = bits_ * w.stride_k % 8 == 0 && bits_ * column % 8 == 0;
    const bool whole_rows = w.panel == 0 && w.stride_n == 1 && columns == kColumns && bytes;
    direct_ = w.panel == kPanel || whole_rows;
    turned_ = w.panel == 0 && !direct_ && w.stride_k == 1 && bits_ * w.stride_n % 8 == 0;
    form_ = whole_rows ? Form::rows : turned_ && bits_ <= 8 ? Form::words : Form::panel;
  }
  Form form() const { return form_; }
  bool direct() const { return direct_; }

  // Rows [first, first + count), copied to `copy` where the codec cannot read them where they lie.
  StoredRows rows(int64_t first, int64_t count, void* copy) const {
    if (direct_) return {address(first), pitch(), 0};
    const int64_t place = bits_ * first / 8, phase = bits_ == 4 ? first % 2 : 0;
    const int64_t bytes = (bits_ * (count + phase) + 8 * kTurnBytes - 1) / (8 * kTurnBytes) * kTurnBytes;
    if (!turned_ || place + bytes > bits_ * k_ / 8) {
      copy_all(first, count, copy);
      return {copy, copied_pitch(), 0};
    }
    const Columns from{static_cast<const char*>(address(0)), bits_ * w_.stride_n / 8, columns_};
    int32_t* words = static_cast<int32_t*>(copy);
    if (bits_ == 16) {
      turn_words<true>(from, place, bytes, kTurnedAhead, words);
      split_pairs(words, bytes / 4);
    } else {
      turn_words<false>(from, place, bytes, kTurnedAhead, words);
    }
    return {copy, copied_pitch(), phase};
  }

  // `gang` blocks beside each other, of which this is the first, fetch their next rows together.
  Ahead ahead(int64_t first, int64_t count, const StoredRows& stored, int64_t gang) const {
    if (!direct_) return {static_cast<const char*>(stored.row), count, 0, 1, 0};
    const int64_t width = bits_ * kColumns / 8 * gang;
    if (w_.panel != 0) return {static_cast<const char*>(address(first)), count, width, 0, width * count};
    const bool more = first < k_;
    const char* next = static_cast<const char*>(address(more ? first : 0)) + (more ? 0 : width);
    return {next, count, pitch(), max64(1, width / 64), 0};
  }

 private:
  int64_t pitch() const { return bits_ * (w_.panel != 0 ? w_.panel : w_.stride_k) / 8; }
  int64_t copied_pitch() const { return form_ == Form::words ? 4 * kColumns : bits_ * kColumns / 8; }
  const void* address(int64_t row) const {
    return at(w_.data, bits_ * weight_index(w_, k_, 0, column_) / 8 + row * (turned_ ? 0 : pitch()));
  }

  // Any layout, element by element, into a panel or words.
  template <class T>
  void copy_elements(int64_t first, int64_t count, T* to) const {
    const T* from = static_cast<const T*>(w_.data);
    const int64_t each = form_ == Form::words ? 4 : 1;
    for (int64_t kk = 0; kk < count; ++kk) {
      for (int64_t c = 0; c < kColumns; ++c) {
        T& place = to[(kk / each * kColumns + c) * each + kk % each];
        place = c < columns_ ? from[weight_index(w_, k_, first + kk, column_ + c)] : T{};
      }
    }
  }
  void copy_nibbles(int64_t first, int64_t count, uint8_t* to) const {
    const Weight panel{nullptr, DType::i4, 0, 0, kPanel};
    const uint8_t* from = static_cast<const uint8_t*>(w_.data);
    const bool words = form_ == Form::words;
    for (int64_t kk = 0; kk < count; ++kk) {
      for (int64_t c = 0; c < kColumns; ++c) {
        const int value = c < columns_ ? int4_get(from, weight_index(w_, k_, first + kk, column_ + c)) : 0;
        if (words) int4_set(to, (kk / 8 * kColumns + c) * 8 + kk % 8, value);
        if (!words) int4_set(to, weight_index(panel, count, kk, c), value ^ 8);
      }
    }
  }
  void copy_all(int64_t first, int64_t count, void* to) const {
    if (bits_ == 4) return copy_nibbles(first, count, static_cast<uint8_t*>(to));
    if (bits_ == 8) return copy_elements(first, count, static_cast<uint8_t*>(to));
    if (bits_ == 16) return copy_elements(first, count, static_cast<uint16_t*>(to));
    copy_elements(first, count, static_cast<uint32_t*>(to));
  }

  Weight w_;
  int64_t k_, column_, columns_, bits_;
  bool direct_, turned_;
  Form form_;
};

// body.operator()<v>() for the first vector v of every strip of a block.
template <int kVecs, int kFirst = 0, class Body>
TANDEM_INLINE void for_strips(const Body& body) {
  body.template operator()<kFirst>();
  if constexpr ((kFirst + kVecs) * kLanes < kColumns) for_strips<kVecs, kFirst + kVecs>(body);
}

// One strip of `count` rows to [k][kStripColumns].
template <class Codec, Shift kShift, int kFirst>
TANDEM_INLINE void decode_strip(const StoredRows& stored, int64_t count, const float* shifts, float* strip) {
  const Stored<Codec, kFirst, kStripVecs, kShift> weights(stored, shifts);
  for (int64_t kk = 0; kk < count; ++kk) {
    Vec w[kStripVecs];
    weights.load(kk, w);
#pragma GCC unroll 16
    for (int v = 0; v < kStripVecs; ++v) store(strip + kk * kStripColumns + v * kLanes, w[v]);
  }
}

// shift = bias - offset; whether that is exact in all columns.
template <class Codec>
TANDEM_INLINE bool shift_once(const float* offset, float* shift) {
  VecI inexact = set_i(0);
  for (int v = 0; v < kColumns / kLanes; ++v) {
    const Vec bias = set(Codec::bias(v)), moved = load(offset + v * kLanes);
    const Vec difference = sub(bias, moved), back = sub(difference, bias);
    const Vec error = sub(sub(bias, sub(difference, back)), add(moved, back));  // of the difference, exactly
    inexact = or_i(inexact, bits_of(error));
    store(shift + v * kLanes, difference);
  }
  int32_t lanes[kLanes];
  store_i(lanes, inexact);
  for (int i = 0; i < kLanes; ++i) {
    if ((lanes[i] & 0x7fffffff) != 0) return false;
  }
  return true;
}

// Scales and shifts of the block's columns for one group, in the order of the codec.
template <class Codec>
Shift load_group(const GemmArgs& args, int64_t group, int64_t column, int64_t columns, float* scale, float* shift) {
  alignas(64) float in_order[kColumns] = {}, offset[kColumns] = {};
  if (args.scale.data != nullptr) {
    read_scales(args.scale, group, column, columns, in_order);
    if constexpr (Codec::kTurned) from_columns(in_order, scale);
    if constexpr (!Codec::kTurned) __builtin_memcpy(scale, in_order, sizeof in_order);
  }
  const bool moved = args.scale.data != nullptr && args.offset.data != nullptr;
  if (!moved && Codec::kFloat) return Shift::none;
  if (moved) {
    float* to = Codec::kTurned ? in_order : offset;
    read_scales(args.offset, group, column, columns, to);
    if constexpr (Codec::kTurned) from_columns(in_order, offset);
  }
  if (shift_once<Codec>(offset, shift)) return Shift::one;
  __builtin_memcpy(shift, offset, sizeof offset);
  return Shift::two;
}

}  // namespace tandem::TANDEM_ISA
