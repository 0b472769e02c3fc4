// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/pack.h"

#include <cstring>

#include "tandem/base/int4.h"

namespace tandem {
namespace {

template <class Copy>
void for_elements(const Weight& from, const Weight& to, int64_t k, int64_t n, const Copy& copy) {
  for (int64_t panel = 0; panel < n; panel += to.panel) {
    const int64_t last = panel + to.panel < n ? panel + to.panel : n;
    for (int64_t kk = 0; kk < k; ++kk) {
      for (int64_t c = panel; c < last; ++c) copy(weight_index(to, k, kk, c), weight_index(from, k, kk, c));
    }
  }
}

template <class T>
void pack_bytes(const Weight& from, const Weight& to, int64_t k, int64_t n, void* target) {
  const T* source = static_cast<const T*>(from.data);
  for_elements(from, to, k, n, [&](int64_t into, int64_t out) { static_cast<T*>(target)[into] = source[out]; });
}

void pack_nibbles(const Weight& from, const Weight& to, int64_t k, int64_t n, void* target) {
  const uint8_t* source = static_cast<const uint8_t*>(from.data);
  uint8_t* bytes = static_cast<uint8_t*>(target);
  const int flip_from = from.panel != 0 ? 8 : 0;
  for_elements(from, to, k, n, [&](int64_t into, int64_t out) {
    int4_set(bytes, into, int4_get(source, out) ^ flip_from ^ 8);
  });
}

}  // namespace

size_t packed_bytes(DType dtype, int64_t k, int64_t n) {
  return dtype_bytes(dtype, (n + kPanel - 1) / kPanel * kPanel * k);
}

Weight pack_weight(const Weight& from, int64_t k, int64_t n, void* to) {
  const Weight packed{to, from.dtype, 0, 0, kPanel};
  if (k == 0 || n == 0) return packed;
  std::memset(to, from.dtype == DType::i4 ? 0x88 : 0, packed_bytes(from.dtype, k, n));
  switch (dtype_bits(from.dtype)) {
    case 4: pack_nibbles(from, packed, k, n, to); break;
    case 8: pack_bytes<uint8_t>(from, packed, k, n, to); break;
    case 16: pack_bytes<uint16_t>(from, packed, k, n, to); break;
    default: pack_bytes<uint32_t>(from, packed, k, n, to); break;
  }
  return packed;
}

}  // namespace tandem
