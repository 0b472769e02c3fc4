// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/compare/peer.h"
#include "bench/gemm_operands.h"
#include "bench/row.h"

namespace tandem::bench {

// The libraries to compare with that were built and asked for.
class Peers {
 public:
  // Modules of the folder whose name is wanted ("all", "none" or names), as they are or held to AVX2.
  Peers(const std::string& folder, const std::vector<std::string>& wanted, bool only_avx2);
  ~Peers();

  struct Module {
    std::string name;
    const TandemPeer* peer = nullptr;
    void* handle = nullptr;
  };
  const std::vector<Module>& modules() const { return modules_; }
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  std::vector<Module> modules_;
  std::vector<std::string> missing_;
};

// Products of the peers on the operands: every form of theirs that answers the same question. Weights stay packed for
// all m and thread counts.
class PeerProducts {
 public:
  PeerProducts(Peers& peers, GemmOperands& operands, size_t pool_bytes);
  ~PeerProducts();
  void add(Turns& turns, int64_t m, int threads);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::bench
