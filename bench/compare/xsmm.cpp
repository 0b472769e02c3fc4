// SPDX-License-Identifier: Apache-2.0
// libxsmm: its compiled-on-the-spot kernels of 64 columns x m rows x 512 k over weights packed as [n/64][k][64], which
// is how its own examples run a layer.
#include <libxsmm.h>

#include <algorithm>
#include <cstring>

#include "bench/compare/peer.h"

namespace {

constexpr int64_t kColumns = 64, kDepth = 512;

struct Product {
  TandemPeerProblem p;
  libxsmm_smmfunction first, more;  // y = .., y += ..
};

void* make(const TandemPeerProblem* problem) {
  if (std::strcmp(problem->x, "f32") != 0 || std::strcmp(problem->w, "f32") != 0) return nullptr;
  if (problem->n % kColumns != 0 || problem->k % kDepth != 0) return nullptr;
  libxsmm_init();
  const libxsmm_blasint columns = kColumns, rows = static_cast<libxsmm_blasint>(problem->m), depth = kDepth;
  const libxsmm_blasint ld_x = static_cast<libxsmm_blasint>(problem->k), ld_y = static_cast<libxsmm_blasint>(problem->n);
  const float one = 1, zero = 0;
  const auto dispatch = [&](const float* beta) {
    return libxsmm_smmdispatch(columns, rows, depth, &columns, &ld_x, &ld_y, &one, beta, nullptr, nullptr);
  };
  auto* product = new Product{*problem, dispatch(&zero), dispatch(&one)};
  if (product->first != nullptr && product->more != nullptr) return product;
  delete product;
  return nullptr;
}

const Product& of(void* product) { return *static_cast<Product*>(product); }

size_t weight_bytes(void* product) { return static_cast<size_t>(of(product).p.k * of(product).p.n) * sizeof(float); }

int pack(void* product, const void* w, void* to) {
  const TandemPeerProblem& p = of(product).p;
  const auto* from = static_cast<const float*>(w);
  auto* out = static_cast<float*>(to);
  for (int64_t c = 0; c < p.n; c += kColumns) {
    for (int64_t kk = 0; kk < p.k; ++kk) std::memcpy(out + c * p.k + kk * kColumns, from + kk * p.n + c, kColumns * sizeof(float));
  }
  return 1;
}

void run(void* product, const void* x, const void* w, void* y) {
  const Product& self = of(product);
  const TandemPeerProblem& p = self.p;
  const auto* a = static_cast<const float*>(x);
  const auto* b = static_cast<const float*>(w);
  auto* c = static_cast<float*>(y);
#pragma omp parallel for num_threads(p.threads)
  for (int64_t column = 0; column < p.n; column += kColumns) {
    for (int64_t kk = 0; kk < p.k; kk += kDepth) {
      (kk == 0 ? self.first : self.more)(b + column * p.k + kk * kColumns, a + kk, c + column);
    }
  }
}

void drop(void* product) { delete static_cast<Product*>(product); }

}  // namespace

extern "C" const TandemPeer* tandem_peer() {
  static const TandemPeer peer = {"libxsmm", LIBXSMM_VERSION, "smmdispatch 64 x m x 512, OpenMP", make, weight_bytes, pack, nullptr, run, drop, nullptr};
  return &peer;
}
