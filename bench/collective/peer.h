// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "bench/collective/operation.h"
#include "bench/compare/collective_peer.h"
#include "tandem/base/status.h"

namespace tandem::bench {

// Another library, loaded into this rank and met by its own means.
class CollectivePeer {
 public:
  // Module `peer_<name>.so` of the folder. `meeting` is a folder of this run, shared by all ranks.
  static Expected<std::unique_ptr<CollectivePeer>> start(const std::string& folder, const std::string& name, int rank,
                                                         int ranks, const std::string& meeting);
  ~CollectivePeer();
  CollectivePeer(const CollectivePeer&) = delete;
  CollectivePeer& operator=(const CollectivePeer&) = delete;

  std::string name() const { return peer_->name; }
  std::string version() const { return peer_->version(); }

  // A call to repeat; not valid where the library has none of this kind.
  class Call {
   public:
    Call(const TandemCollectivePeer& peer, const Problem& problem, const void* in, void* out);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    bool valid() const { return handle_ != nullptr; }
    Status run() const;

   private:
    const TandemCollectivePeer& peer_;
    void* handle_;
  };
  std::unique_ptr<Call> call(const Problem& problem, const void* in, void* out) const;

 private:
  explicit CollectivePeer(const TandemCollectivePeer* peer) : peer_(peer) {}
  const TandemCollectivePeer* peer_;
};

// Why the peer cannot be asked here; empty when it can.
std::string why_absent(const std::string& folder, const std::string& name);

}  // namespace tandem::bench
