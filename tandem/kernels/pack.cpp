// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/pack.h"

#include <algorithm>
#include <cstring>

#include "tandem/base/int4.h"

namespace tandem {
namespace {

constexpr int64_t kTile = 64;  // rows of k that are turned at a time
constexpr int64_t kWords = 8;  // of a row of a packed int4 panel

// Rows of k side by side: a piece of every row is a row of a panel.
template <class T>
void pack_rows(const Weight& from, int64_t k, int64_t n, T* to) {
  const T* source = static_cast<const T*>(from.data);
  for (int64_t first = 0; first < k; first += kTile) {
    const int64_t last = std::min(k, first + kTile);
    for (int64_t c = 0; c < n; c += kPanel) {
      const int64_t columns = std::min(kPanel, n - c);
      for (int64_t kk = first; kk < last; ++kk) {
        T* row = to + c * k + kk * kPanel;
        std::copy_n(source + kk * from.stride_k + c, columns, row);
        std::fill(row + columns, row + kPanel, T{});
      }
    }
  }
}

// Columns along k, or any strides: tiles are turned in the first-level cache.
template <class T>
void pack_columns(const Weight& from, int64_t k, int64_t n, T* to) {
  const T* source = static_cast<const T*>(from.data);
  T tile[kTile * kPanel];
  for (int64_t c = 0; c < n; c += kPanel) {
    const int64_t columns = std::min(kPanel, n - c);
    std::fill(std::begin(tile), std::end(tile), T{});
    for (int64_t kk = 0; kk < k; kk += kTile) {
      const int64_t rows = std::min(kTile, k - kk);
      for (int64_t i = 0; i < columns; ++i) {
        const T* column = source + (c + i) * from.stride_n + kk * from.stride_k;
        for (int64_t row = 0; row < rows; ++row) tile[row * kPanel + i] = column[row * from.stride_k];
      }
      std::copy_n(tile, rows * kPanel, to + c * k + kk * kPanel);
    }
  }
}

template <class T>
void pack_elements(const Weight& from, int64_t k, int64_t n, void* to) {
  if (from.stride_n == 1) return pack_rows<T>(from, k, n, static_cast<T*>(to));
  pack_columns<T>(from, k, n, static_cast<T*>(to));
}

// Nibble i of word j and nibble j of word i change places.
void turn_nibbles(uint32_t* words) {
  constexpr uint32_t kLow[3] = {0x0000ffff, 0x00ff00ff, 0x0f0f0f0f};
  for (int stage = 0; stage < 3; ++stage) {
    const int step = 4 >> stage, bits = 4 * step;
    for (int i = 0; i < 8; ++i) {
      if ((i & step) != 0) continue;
      const uint32_t change = (words[i] >> bits ^ words[i + step]) & kLow[stage];
      words[i + step] ^= change;
      words[i] ^= change << bits;
    }
  }
}

// `count` <= 8 nibbles of the stream from `index` on; zeros behind them.
uint32_t load_nibbles(const uint8_t* stream, int64_t index, int64_t count) {
  uint32_t word = 0;
  if (count == 8 && index % 2 == 0) {
    std::memcpy(&word, stream + index / 2, sizeof word);
    return word;
  }
  for (int64_t i = 0; i < count; ++i) word |= static_cast<uint32_t>(int4_get(stream, index + i) & 15) << 4 * i;
  return word;
}

// Nibble j of word i of a row is column 8 j + i, so a row is its eight words of columns side by side, turned.
void pack_nibble_rows(const Weight& from, int64_t k, int64_t n, uint32_t* to) {
  const uint8_t* source = static_cast<const uint8_t*>(from.data);
  for (int64_t c = 0; c < n; c += kPanel) {
    for (int64_t kk = 0; kk < k; ++kk, to += kWords) {
      uint32_t words[kWords];
      for (int64_t j = 0; j < kWords; ++j) {
        const int64_t count = std::clamp<int64_t>(n - c - 8 * j, 0, 8);
        words[j] = load_nibbles(source, kk * from.stride_k + c + 8 * j, count) ^ 0x88888888u;
      }
      turn_nibbles(words);
      std::copy_n(words, kWords, to);
    }
  }
}

// Columns along k: eight columns 8 j + i by eight rows of k give word i of eight rows.
void pack_nibble_columns(const Weight& from, int64_t k, int64_t n, uint32_t* to) {
  const uint8_t* source = static_cast<const uint8_t*>(from.data);
  for (int64_t c = 0; c < n; c += kPanel, to += k * kWords) {
    for (int64_t kk = 0; kk < k; kk += 8) {
      const int64_t rows = std::min<int64_t>(8, k - kk);
      for (int64_t i = 0; i < kWords; ++i) {
        uint32_t words[8];
        for (int64_t j = 0; j < 8; ++j) {
          const int64_t column = c + 8 * j + i;
          words[j] = (column < n ? load_nibbles(source, column * from.stride_n + kk, rows) : 0) ^ 0x88888888u;
        }
        turn_nibbles(words);
        for (int64_t row = 0; row < rows; ++row) to[(kk + row) * kWords + i] = words[row];
      }
    }
  }
}

void pack_nibbles(const Weight& from, int64_t k, int64_t n, uint32_t* to) {
  if (from.stride_n == 1) return pack_nibble_rows(from, k, n, to);
  pack_nibble_columns(from, k, n, to);
}

void unpack_nibbles(const Weight& packed, int64_t k, int64_t n, uint8_t* to) {
  const auto* stream = static_cast<const uint8_t*>(packed.data);
  for (int64_t kk = 0; kk < k; ++kk) {
    for (int64_t c = 0; c < n; ++c)
      int4_set(to, kk * n + c, (int4_get(stream, weight_index(packed, k, kk, c)) & 15) - 8);
  }
}

}  // namespace

void unpack_weight(const Weight& packed, int64_t k, int64_t n, void* to) {
  if (packed.dtype == DType::i4) return unpack_nibbles(packed, k, n, static_cast<uint8_t*>(to));
  const auto* source = static_cast<const char*>(packed.data);
  for (int64_t c = 0; c < n; c += kPanel) {
    const size_t piece = dtype_bytes(packed.dtype, std::min(kPanel, n - c));
    for (int64_t kk = 0; kk < k; ++kk) {
      std::memcpy(static_cast<char*>(to) + dtype_bytes(packed.dtype, kk * n + c),
                  source + dtype_bytes(packed.dtype, weight_index(packed, k, kk, c)), piece);
    }
  }
}

size_t packed_bytes(DType dtype, int64_t k, int64_t n) {
  return dtype_bytes(dtype, (n + kPanel - 1) / kPanel * kPanel * k);
}

Weight pack_weight(const Weight& from, int64_t k, int64_t n, void* to) {
  const Weight packed{to, from.dtype, 0, 0, kPanel};
  if (k == 0 || n == 0) return packed;
  if (from.panel != 0) {
    std::memcpy(to, from.data, packed_bytes(from.dtype, k, n));
    return packed;
  }
  switch (dtype_bits(from.dtype)) {
    case 4: pack_nibbles(from, k, n, static_cast<uint32_t*>(to)); break;
    case 8: pack_elements<uint8_t>(from, k, n, to); break;
    case 16: pack_elements<uint16_t>(from, k, n, to); break;
    default: pack_elements<uint32_t>(from, k, n, to); break;
  }
  return packed;
}

}  // namespace tandem
