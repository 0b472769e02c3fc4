// SPDX-License-Identifier: Apache-2.0
// Chains of other libraries: their product on f32 weights, an all-reduce, our add and rms_norm.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "bench/compare/peer.h"
#include "bench/op/contender.h"
#include "tandem/comm/collectives.h"
#include "tandem/exec/team.h"

namespace tandem::bench::op {
namespace {

// The library stays loaded: its threads would outlive their code.
const TandemPeer* load(const std::string& folder, const std::string& name, std::string& why) {
  const std::filesystem::path path = std::filesystem::path(folder) / ("peer_" + name + ".so");
  if (!std::filesystem::exists(path)) {
    why = "not in this build (cmake --build . -t bench_peers)";
    return nullptr;
  }
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto entry =
      handle != nullptr ? reinterpret_cast<decltype(&tandem_peer)>(::dlsym(handle, "tandem_peer")) : nullptr;
  if (entry == nullptr) why = handle != nullptr ? "no module of this command" : ::dlerror();
  return entry != nullptr ? entry() : nullptr;
}

class Chain {
 public:
  Chain(std::shared_ptr<Operands> operands, const ChainContext& context, const TandemPeer& gemm,
        const TandemCollectivePeer* reduce)
      : operands_(std::move(operands)), context_(context), gemm_(gemm), reduce_(reduce), out_(operands_->out()) {}
  ~Chain() {
    if (product_ != nullptr) gemm_.drop(product_);
    if (call_ != nullptr) reduce_->drop(call_);
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  // "" or why there is none.
  std::string prepare(size_t pool_bytes) {
    const fused::Problem& p = operands_->problem().data;
    const TandemPeerProblem problem{p.m, p.n, p.k, context_.lane.team->size(), "f32", "f32", 0, 0};
    product_ = gemm_.make(&problem);
    if (product_ == nullptr) return "it has no such product";
    const std::vector<float> weight = operands_->plain_weight();
    const size_t bytes = gemm_.weight_bytes(product_);
    const size_t copies = std::max<size_t>(2, pool_bytes / std::max<size_t>(bytes, 1));
    for (size_t i = 0; i < copies; ++i) {
      auto pages = Pages::allocate(bytes);
      if (!pages || gemm_.pack(product_, weight.data(), pages->data()) == 0) return "its weights cannot be laid out";
      weights_.push_back(std::move(*pages));
    }
    x_ = operands_->plain_x();
    y_.resize(static_cast<size_t>(p.m * p.n));
    for (int64_t row = 0; row < p.m; ++row) rows_.push_back(y_.data() + row * p.n);
    if (reduce_ == nullptr) return "";
    const TandemCollectiveCall call{"all_reduce", "float", "sum", 0, p.m * p.n, nullptr, nullptr, y_.data(), y_.data()};
    call_ = reduce_->make(&call);
    return call_ != nullptr ? "" : "the other library has no such all-reduce";
  }

  Status run(size_t copy) {
    gemm_.run(product_, x_.data(), weights_[copy].data(), y_.data());
    if (Status s = sum(); !s) return s;
    operands_->tail(rows_.data(), out_, context_.lane);
    return {};
  }

  size_t copies() const { return weights_.size(); }
  const fused::Outputs& out() const { return out_; }

 private:
  Status sum() {
    const auto count = static_cast<int64_t>(y_.size());
    if (context_.comm->size() == 1) return {};
    if (call_ == nullptr) {
      return all_reduce(*context_.comm, y_.data(), y_.data(), count, DType::f32, Combine::sum, context_.lane);
    }
    if (reduce_->run(call_) == 0) return {};
    return fail(ErrorCode::internal, fmt::format("{}: the call failed", reduce_->name));
  }

  std::shared_ptr<Operands> operands_;
  ChainContext context_;
  const TandemPeer& gemm_;
  const TandemCollectivePeer* reduce_;
  fused::Outputs out_;
  void *product_ = nullptr, *call_ = nullptr;
  std::vector<Pages> weights_;
  std::vector<float> x_, y_;
  std::vector<const void*> rows_;
};

}  // namespace

std::vector<Contender> peer_contenders(const std::shared_ptr<Operands>& operands, const ChainContext& context,
                                       const OpOptions& options, const TandemCollectivePeer* peer,
                                       std::vector<std::string>& not_shown) {
  std::vector<Contender> all;
  const fused::Problem& p = operands->problem().data;
  if (operands->problem().kind != OpKind::all_reduce || p.bias != "none" || p.x3 != "none") return all;
  for (const std::string& name : options.gemms) {
    std::string why;
    const TandemPeer* gemm = load(options.peer_folder, name, why);
    if (gemm != nullptr) {
      const auto chain = std::make_shared<Chain>(operands, context, *gemm, peer);
      why = chain->prepare(static_cast<size_t>(options.pool_mb << 20) / static_cast<size_t>(context.comm->size()));
      if (why.empty()) {
        all.push_back({.name = fmt::format("{} {} f32 + {}", gemm->name, gemm->version,
                                           peer != nullptr ? peer->name : "our all-reduce"),
                       .run = [chain](size_t copy) { return chain->run(copy); },
                       .out = &chain->out(),
                       .copies = chain->copies()});
      }
    }
    if (!why.empty()) not_shown.push_back(fmt::format("{}: {}", name, why));
  }
  return all;
}

}  // namespace tandem::bench::op
