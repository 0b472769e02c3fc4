// SPDX-License-Identifier: Apache-2.0
#include "bench/peers.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "tandem/kernels/table.h"

namespace tandem::bench {

namespace {

constexpr const char* kKnown[] = {"openblas", "onednn2", "onednn3", "libxsmm"};

bool is_wanted(const std::vector<std::string>& wanted, const std::string& name) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) { return w == "all" || w == name || name.starts_with(w); });
}

// Read by the libraries when they are loaded. OpenBLAS 0.3.21 takes a CPU younger than itself for one of 2004.
std::vector<std::pair<const char*, const char*>> settings(bool only_avx2) {
  if (only_avx2) return {{"OPENBLAS_CORETYPE", "Haswell"}, {"ONEDNN_MAX_CPU_ISA", "AVX2"}, {"LIBXSMM_TARGET", "hsw"}};
  if (find_table("avx512") != nullptr) return {{"OPENBLAS_CORETYPE", "SkylakeX"}};
  if (find_table("avx2") != nullptr) return {{"OPENBLAS_CORETYPE", "Haswell"}};
  return {};
}

}  // namespace

Peers::Peers(const std::string& folder, const std::vector<std::string>& wanted, bool only_avx2) {
  if (wanted.size() == 1 && wanted[0] == "none") return;
  for (const auto& [name, value] : settings(only_avx2)) ::setenv(name, value, only_avx2);
  for (const std::string name : kKnown) {
    if (!is_wanted(wanted, name)) continue;
    const auto path = std::filesystem::path(folder) / ("peer_" + name + ".so");
    void* handle = std::filesystem::exists(path) ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    const auto entry = handle == nullptr ? nullptr : reinterpret_cast<decltype(&tandem_peer)>(dlsym(handle, "tandem_peer"));
    if (entry == nullptr) {
      missing_.push_back(fmt::format("{}: {}", name, std::filesystem::exists(path) ? dlerror() : "not in this build"));
      continue;
    }
    modules_.push_back({name, entry(), handle});
  }
}

// Left open: the libraries' threads would outlive their code.
Peers::~Peers() = default;

namespace {

// How a peer may be asked for the product of ours: its activations and weights.
struct Form {
  const char* x;
  const char* w;
};

std::vector<Form> forms_of(const GemmKind& kind) {
  if (kind.integer()) return {{"u8", "i8"}, {"i8", "i8"}};
  const bool half = kind.x == DType::f16;
  switch (kind.w) {
    case DType::f32: return {{"f32", "f32"}};
    case DType::f16: return {{"f16", "f16"}, {"f32", "f16"}, {"f32", "f32"}};
    case DType::bf16: return {{"bf16", "bf16"}, {"f32", "bf16"}, {"f32", "f32"}};
    case DType::i8: return {{"f32", "i8"}, {half ? "f16" : "bf16", "i8"}, {"f32", "f32"}};
    case DType::i4: return {{"f32", "i4"}, {half ? "f16" : "bf16", "i4"}, {"f32", "f32"}};
    default: return {};
  }
}

// Row-major values in a peer's type; "f32" of quantised weights are the dequantised ones.
std::vector<uint8_t> weights_as(const GemmOperands& operands, const std::string& type) {
  const GemmKind& kind = operands.kind();
  if (type == dtype_name(kind.w) && type != "i4") return operands.w().bytes;
  Values out(type == "i4" ? DType::f32 : dtype_from_name(type), kind.k * kind.n);
  if (type == "i4") {
    for (int64_t i = 0; i < out.count; ++i) out.set(i, operands.w().get(i));
    return out.bytes;
  }
  const bool scaled = operands.scale().count > 0;
  for (int64_t i = 0; i < out.count; ++i) {
    const int64_t place = (kind.group > 0 ? i / kind.n / kind.group : 0) * kind.n + i % kind.n;
    float w = operands.w().get(i);
    if (operands.offset().count > 0) w += operands.offset().get(place);
    out.set(i, scaled ? w * operands.scale().get(place) : w);
  }
  return out.bytes;
}

std::vector<uint8_t> activations_as(const GemmOperands& operands, const std::string& type) {
  const Values& x = operands.x();
  if (type == dtype_name(x.dtype)) return x.bytes;
  std::vector<uint8_t> bytes(static_cast<size_t>(x.count));
  if (type == "u8") {
    for (int64_t i = 0; i < x.count; ++i) bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(static_cast<int>(x.get(i)) + 128);
    return bytes;
  }
  Values out(dtype_from_name(type), x.count);
  for (int64_t i = 0; i < x.count; ++i) out.set(i, x.get(i));
  return out.bytes;
}

std::vector<float> floats_of(const Values& values) {
  std::vector<float> out(static_cast<size_t>(values.count));
  for (int64_t i = 0; i < values.count; ++i) out[static_cast<size_t>(i)] = values.get(i);
  return out;
}

// Exact sums of integers on the sample: u8 activations are those of ours + 128.
Verdict verify_integers(const GemmOperands& operands, const GemmOperands::Sample& sample, const int32_t* y, bool shifted) {
  const GemmKind& kind = operands.kind();
  Verdict verdict;
  for (const int64_t row : sample.rows) {
    for (const int64_t column : sample.columns) {
      int64_t sum = 0;
      for (int64_t kk = 0; kk < kind.k; ++kk) {
        const auto x = static_cast<int64_t>(operands.x().get(row * kind.k + kk)) + (shifted ? 128 : 0);
        sum += x * static_cast<int64_t>(operands.w().get(kk * kind.n + column));
      }
      if (y[row * kind.n + column] == static_cast<int32_t>(sum)) continue;
      verdict.complaint = fmt::format("row {} column {}: {} where {} is right", row, column, y[row * kind.n + column], sum);
      return verdict;
    }
  }
  verdict.verified = true;
  return verdict;
}

// The peer rounds where it likes within f32; weights it dequantises itself are rounded once more.
Verdict verify_floats(GemmOperands::Sample sample, const float* y, int64_t n) {
  for (double& allowed : sample.allowed) allowed *= 1.01;
  return verify_gemm(sample, y, n, false);
}

}  // namespace

struct PeerProducts::Impl {
  Peers& peers;
  GemmOperands& operands;
  size_t pool_bytes;
  std::map<std::string, std::shared_ptr<Pool>> pools;                    // by module, form and size
  std::map<std::string, std::shared_ptr<std::vector<uint8_t>>> inputs;  // activations by type

  std::shared_ptr<Pool> pool_of(const Peers::Module& module, const Form& form, void* product, int64_t m);
  std::shared_ptr<std::vector<uint8_t>> input_of(const std::string& type);
  void add_form(Turns& turns, const Peers::Module& module, const Form& form, int64_t m, int threads);
};

std::shared_ptr<Pool> PeerProducts::Impl::pool_of(const Peers::Module& module, const Form& form, void* product, int64_t m) {
  const size_t bytes = module.peer->weight_bytes(product);
  // A library may lay weights out by m.
  const std::string key = fmt::format("{} {} {} {}", module.name, form.x, form.w, bytes);
  const std::string once = key + (module.name.starts_with("onednn") ? fmt::format(" m{}", m) : "");
  if (auto found = pools.find(once); found != pools.end()) return found->second;
  std::erase_if(pools, [&](const auto& item) { return item.first.starts_with(key); });
  const auto weights = weights_as(operands, form.w);
  std::vector<uint8_t> packed(bytes + 64);
  auto* aligned = packed.data() + (64 - reinterpret_cast<uintptr_t>(packed.data()) % 64) % 64;
  if (module.peer->pack(product, weights.data(), aligned) == 0) return nullptr;
  return pools[once] = std::make_shared<Pool>(aligned, bytes, pool_bytes);
}

std::shared_ptr<std::vector<uint8_t>> PeerProducts::Impl::input_of(const std::string& type) {
  auto& input = inputs[type];
  if (!input) input = std::make_shared<std::vector<uint8_t>>(activations_as(operands, type));
  return input;
}

void PeerProducts::Impl::add_form(Turns& turns, const Peers::Module& module, const Form& form, int64_t m, int threads) {
  const GemmKind& kind = operands.kind();
  const bool quantised = std::strcmp(form.w, "i8") == 0 || std::strcmp(form.w, "i4") == 0;
  const bool integer = kind.integer();
  const TandemPeerProblem problem{m, kind.n, kind.k, threads, form.x, form.w, quantised && !integer ? kind.group : 0,
                                  quantised && !integer && operands.offset().count > 0};
  if (integer && kind.w == DType::i4) return;
  void* made = module.peer->make(&problem);
  if (made == nullptr) return;
  const std::shared_ptr<void> product(made, module.peer->drop);
  if (problem.group > 0 || (quantised && !integer)) {
    if (module.peer->scales == nullptr) return;
    module.peer->scales(made, floats_of(operands.scale()).data(), floats_of(operands.offset()).data());
  }
  const auto pool = pool_of(module, form, made, m);
  if (pool == nullptr) return;
  const auto input = input_of(form.x);
  auto y = std::make_shared<std::vector<float>>(static_cast<size_t>(m * kind.n), NAN);
  Contender c;
  c.row.who = module.name;
  c.row.version = module.peer->version;
  const char* choice = module.peer->choice == nullptr ? "" : module.peer->choice(made);
  c.row.flags = fmt::format("{}x{}; {}; {}", form.x, form.w, module.peer->flags, choice);
  c.row.ours = false;
  c.row.bytes = static_cast<double>(pool->block_bytes());
  c.run = [=] { module.peer->run(product.get(), input->data(), pool->next(), y->data()); };
  const auto kept = std::make_shared<std::vector<float>>();
  const auto& sample = operands.sample(m, 8, Math::exact);
  c.verify = [=, this, &sample] {
    *kept = *y;
    if (!integer) return verify_floats(sample, y->data(), kind.n);
    return verify_integers(operands, sample, reinterpret_cast<const int32_t*>(y->data()), form.x[0] == 'u');
  };
  c.unchanged = [=] { return std::memcmp(kept->data(), y->data(), y->size() * sizeof(float)) == 0; };
  if (threads > 1) c.pause = 0.06;  // its threads spin on for a while
  turns.contenders.push_back(std::move(c));
}

PeerProducts::PeerProducts(Peers& peers, GemmOperands& operands, size_t pool_bytes)
    : impl_(std::make_unique<Impl>(Impl{peers, operands, pool_bytes, {}, {}})) {}
PeerProducts::~PeerProducts() = default;

void PeerProducts::add(Turns& turns, int64_t m, int threads) {
  for (const Peers::Module& module : impl_->peers.modules()) {
    for (const Form& form : forms_of(impl_->operands.kind())) impl_->add_form(turns, module, form, m, threads);
  }
}

}  // namespace tandem::bench
