// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/peer.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace tandem::bench {
namespace {

std::string module_path(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / ("peer_" + name + ".so")).string();
}

}  // namespace

std::string why_absent(const std::string& folder, const std::string& name) {
  return std::filesystem::exists(module_path(folder, name)) ? "" : "not in this build (cmake --build . -t bench_peers)";
}

// The library stays loaded: its threads and exit handlers would outlive their code.
Expected<std::unique_ptr<CollectivePeer>> CollectivePeer::start(const std::string& folder, const std::string& name,
                                                                int rank, int ranks, const std::string& meeting) {
  // Global: an MPI loads plugins of its own that look for its symbols.
  void* handle = dlopen(module_path(folder, name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) return fail(ErrorCode::unsupported, fmt::format("{}: {}", name, dlerror()));
  const auto entry = reinterpret_cast<decltype(&tandem_collective_peer)>(dlsym(handle, "tandem_collective_peer"));
  if (entry == nullptr) return fail(ErrorCode::unsupported, fmt::format("{}: no module of this command", name));
  const TandemCollectivePeer* peer = entry();
  const char* wrong = peer->start(rank, ranks, meeting.c_str());
  if (wrong != nullptr) return fail(ErrorCode::unsupported, fmt::format("{}: {}", name, wrong));
  return std::unique_ptr<CollectivePeer>(new CollectivePeer(peer));
}

CollectivePeer::~CollectivePeer() { peer_->stop(); }

CollectivePeer::Call::Call(const TandemCollectivePeer& peer, const Problem& p, const void* in, void* out)
    : peer_(peer) {
  const std::string operation(p.operation->name), type(word_of(p.type));
  const std::string reduction(p.operation->reduces ? word_of(p.how) : "");
  const TandemCollectiveCall call{operation.c_str(),
                                  type.c_str(),
                                  reduction.c_str(),
                                  p.root,
                                  p.count,
                                  p.counts.empty() ? nullptr : p.counts.data(),
                                  p.counts.empty() ? nullptr : p.displacements.data(),
                                  in,
                                  out};
  handle_ = peer.make(&call);
}

CollectivePeer::Call::~Call() {
  if (handle_ != nullptr) peer_.drop(handle_);
}

Status CollectivePeer::Call::run() const {
  if (peer_.run(handle_) == 0) return {};
  return fail(ErrorCode::internal, fmt::format("{}: the call failed", peer_.name));
}

std::unique_ptr<CollectivePeer::Call> CollectivePeer::call(const Problem& problem, const void* in, void* out) const {
  return std::make_unique<Call>(*peer_, problem, in, out);
}

}  // namespace tandem::bench
