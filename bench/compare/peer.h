/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* What a peer module offers: another library's product behind five functions. A module is a shared object of its own,
   loaded with its symbols hidden, so that several versions of one library can stand side by side. */
extern "C" {

struct TandemPeerProblem {
  int64_t m, n, k;
  int threads;
  const char* x; /* f32, f16, bf16, u8, i8 */
  const char* w; /* f32, f16, bf16, i8, i4 */
  int64_t group; /* rows of k of one scale; 0: one scale a column; only i8 and i4 weights with float activations */
  int offset;    /* 1: weights carry a zero point (w + offset) * scale, whole numbers */
};

struct TandemPeer {
  const char* name;
  const char* version;
  const char* flags;
  /* A product, or null where the library has none of this kind. */
  void* (*make)(const struct TandemPeerProblem* problem);
  size_t (*weight_bytes)(void* product);
  /* Lays the weights (row-major, k x n; i4 as f32) out as the library wants them; 0 where it cannot. */
  int (*pack)(void* product, const void* w, void* to);
  /* Scales and offsets of i8 and i4 weights: rows of n, one a group. Null where the library takes none. */
  void (*scales)(void* product, const float* scale, const float* offset);
  /* y: f32 (i32 for u8 and i8 activations), row-major. */
  void (*run)(void* product, const void* x, const void* packed, void* y);
  void (*drop)(void* product);
  /* Which of its implementations the library chose; may be null. */
  const char* (*choice)(void* product);
};

/* The one symbol of a module. */
__attribute__((visibility("default"))) const struct TandemPeer* tandem_peer(void);
}
