// SPDX-License-Identifier: Apache-2.0
// OpenBLAS: sgemm, for one row sgemv, on plain row-major weights.
#include <cblas.h>

#include <cstring>

#include "bench/compare/peer.h"

namespace {

void* make(const TandemPeerProblem* problem) {
  if (std::strcmp(problem->x, "f32") != 0 || std::strcmp(problem->w, "f32") != 0) return nullptr;
  return new TandemPeerProblem(*problem);
}

const TandemPeerProblem& of(void* product) { return *static_cast<TandemPeerProblem*>(product); }

size_t weight_bytes(void* product) { return static_cast<size_t>(of(product).k * of(product).n) * sizeof(float); }
int pack(void* product, const void* w, void* to) {
  std::memcpy(to, w, weight_bytes(product));
  return 1;
}

void run(void* product, const void* x, const void* w, void* y) {
  const TandemPeerProblem& p = of(product);
  const auto m = static_cast<blasint>(p.m), n = static_cast<blasint>(p.n), k = static_cast<blasint>(p.k);
  const auto* a = static_cast<const float*>(x);
  const auto* b = static_cast<const float*>(w);
  auto* c = static_cast<float*>(y);
  openblas_set_num_threads(p.threads);
  if (m == 1) return cblas_sgemv(CblasRowMajor, CblasTrans, k, n, 1, b, n, a, 1, 0, c, 1);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, k, b, n, 0, c, n);
}

void drop(void* product) { delete static_cast<TandemPeerProblem*>(product); }

}  // namespace

extern "C" const TandemPeer* tandem_peer() {
  static const TandemPeer peer = {"OpenBLAS", TANDEM_PEER_VERSION, openblas_get_config(), make, weight_bytes, pack, nullptr, run, drop, nullptr};
  return &peer;
}
