// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/pack.h"

#include <cstring>

#include "tandem/base/int4.h"

namespace tandem {
namespace {

int64_t element_index(const Weight& w, int64_t k, int64_t kk, int64_t c) {
  if (w.panel == 0) return kk * w.stride_k + c * w.stride_n;
  return c / w.panel * k * w.panel + kk * w.panel + c % w.panel;
}

template <class Copy>
void for_elements(const Weight& from, const Weight& to, int64_t k, int64_t n, const Copy& copy) {
  for (int64_t panel = 0; panel < n; panel += to.panel) {
    const int64_t last = panel + to.panel < n ? panel + to.panel : n;
    for (int64_t kk = 0; kk < k; ++kk) {
      for (int64_t c = panel; c < last; ++c) copy(element_index(to, k, kk, c), element_index(from, k, kk, c));
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
  for_elements(from, to, k, n, [&](int64_t into, int64_t out) { int4_set(bytes, into, int4_get(source, out)); });
}

}  // namespace

size_t packed_bytes(DType dtype, int64_t k, int64_t n) {
  return dtype_bytes(dtype, (n + kPanel - 1) / kPanel * kPanel * k);
}

Weight pack_weight(const Weight& from, int64_t k, int64_t n, void* to) {
  const Weight packed{to, from.dtype, 0, 0, kPanel};
  if (k == 0 || n == 0) return packed;
  std::memset(to, 0, packed_bytes(from.dtype, k, n));
  switch (dtype_bits(from.dtype)) {
    case 4: pack_nibbles(from, packed, k, n, to); break;
    case 8: pack_bytes<uint8_t>(from, packed, k, n, to); break;
    case 16: pack_bytes<uint16_t>(from, packed, k, n, to); break;
    default: pack_bytes<uint32_t>(from, packed, k, n, to); break;
  }
  return packed;
}

}  // namespace tandem
