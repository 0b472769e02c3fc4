// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/ucx.h"

#if TANDEM_UCX
#include <dlfcn.h>
#include <fmt/format.h>
#include <ucp/api/ucp.h>

#include <array>
#include <cstring>
#include <mutex>
#include <utility>

#include "tandem/base/env.h"

namespace tandem {
namespace {

constexpr unsigned kMessage = 1;  // the one kind of active message

// The functions of libucp. Loaded late, because the library takes over signals and memory functions of the process.
struct Api {
  decltype(&ucp_init_version) init_version;
  decltype(&ucp_cleanup) cleanup;
  decltype(&ucp_config_read) config_read;
  decltype(&ucp_config_modify) config_modify;
  decltype(&ucp_config_release) config_release;
  decltype(&ucp_worker_create) worker_create;
  decltype(&ucp_worker_destroy) worker_destroy;
  decltype(&ucp_worker_get_address) worker_get_address;
  decltype(&ucp_worker_release_address) worker_release_address;
  decltype(&ucp_worker_get_efd) worker_get_efd;
  decltype(&ucp_worker_arm) worker_arm;
  decltype(&ucp_worker_progress) worker_progress;
  decltype(&ucp_worker_set_am_recv_handler) set_handler;
  decltype(&ucp_ep_create) ep_create;
  decltype(&ucp_ep_close_nbx) ep_close;
  decltype(&ucp_am_send_nbx) am_send;
  decltype(&ucp_request_check_status) request_status;
  decltype(&ucp_request_free) request_free;
  decltype(&ucs_status_string) status_string;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, Api& api) {
  return find(library, "ucp_init_version", api.init_version) && find(library, "ucp_cleanup", api.cleanup) &&
         find(library, "ucp_config_read", api.config_read) && find(library, "ucp_config_modify", api.config_modify) &&
         find(library, "ucp_config_release", api.config_release) &&
         find(library, "ucp_worker_create", api.worker_create) &&
         find(library, "ucp_worker_destroy", api.worker_destroy) &&
         find(library, "ucp_worker_get_address", api.worker_get_address) &&
         find(library, "ucp_worker_release_address", api.worker_release_address) &&
         find(library, "ucp_worker_get_efd", api.worker_get_efd) && find(library, "ucp_worker_arm", api.worker_arm) &&
         find(library, "ucp_worker_progress", api.worker_progress) &&
         find(library, "ucp_worker_set_am_recv_handler", api.set_handler) &&
         find(library, "ucp_ep_create", api.ep_create) && find(library, "ucp_ep_close_nbx", api.ep_close) &&
         find(library, "ucp_am_send_nbx", api.am_send) &&
         find(library, "ucp_request_check_status", api.request_status) &&
         find(library, "ucp_request_free", api.request_free) && find(library, "ucs_status_string", api.status_string);
}

Expected<const Api*> load() {
  static std::mutex mutex;
  static Api* loaded = nullptr;  // for the life of the process: it cannot be unloaded safely
  const std::lock_guard lock(mutex);
  if (loaded != nullptr) return loaded;
  void* library = dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return fail(ErrorCode::unsupported,
                fmt::format("connect: ranks of several hosts want UCX ({}); Debian's package is libucx0", dlerror()));
  }
  // The program's crash handlers stay its own.
  using Disable = void (*)();
  if (auto* disable = reinterpret_cast<Disable>(dlsym(library, "ucs_debug_disable_signals"))) disable();
  auto api = std::make_unique<Api>();
  if (!find_all(library, *api)) {
    return fail(ErrorCode::unsupported, "connect: libucp.so.0 lacks functions of UCX 1.13");
  }
  loaded = api.release();
  return loaded;
}

class UcxWire final : public Wire {
 public:
  UcxWire(const Api& api, Listener& listener, int size)
      : api_(api), listener_(listener), peers_(static_cast<size_t>(size)) {}
  ~UcxWire() override;
  UcxWire(const UcxWire&) = delete;
  UcxWire& operator=(const UcxWire&) = delete;

  Status start();
  std::vector<std::byte> address() const override;
  Status connect(int peer, std::span<const std::byte> address) override;
  void send(int peer, std::span<const std::byte> header, std::span<const std::byte> payload) override;
  int unsent() const override;
  bool progress() override { return api_.worker_progress(worker_) != 0; }
  int descriptor() const override { return descriptor_; }
  bool arm() override { return api_.worker_arm(worker_) != UCS_ERR_BUSY; }
  void abandon() noexcept override { abandoned_ = true; }

 private:
  struct Peer {
    UcxWire* wire = nullptr;
    int rank = 0;
    ucp_ep_h endpoint = nullptr;
    bool failed = false;
    size_t under_way = 0;
  };
  // A message until UCX has it.
  struct Sending {
    Peer* to;
    std::array<std::byte, kHeaderBytes> header;
    std::array<std::byte, kSmallBytes> small;
  };

  static ucs_status_t on_message(void* self, const void* header, size_t header_bytes, void* data, size_t bytes,
                                 const ucp_am_recv_param_t* parameters);
  static void on_error(void* peer, ucp_ep_h endpoint, ucs_status_t status);
  static void on_sent(void* request, ucs_status_t status, void* sending);
  void break_off(Peer& peer, ucs_status_t status);
  void close(ucp_ep_h endpoint);
  Status failure(const char* what, ucs_status_t status) const;

  const Api& api_;
  Listener& listener_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  int descriptor_ = -1;
  std::vector<Peer> peers_;
  bool abandoned_ = false;
};

Status UcxWire::failure(const char* what, ucs_status_t status) const {
  return fail(ErrorCode::unsupported, fmt::format("connect: UCX: {} failed ({}); UCX_LOG_LEVEL=info says more", what,
                                                  api_.status_string(status)));
}

Status UcxWire::start() {
  ucp_config_t* config = nullptr;
  ucs_status_t status = api_.config_read(nullptr, nullptr, &config);
  if (status != UCS_OK) return failure("reading its environment", status);
  // Memory of one machine is the window's business; two network namespaces of it stand for two hosts.
  if (!env_text("UCX_TLS")) api_.config_modify(config, "TLS", "^posix,sysv,cma,knem,xpmem");
  ucp_params_t parameters{};
  parameters.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS;
  parameters.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  parameters.estimated_num_eps = peers_.size();
  status = api_.init_version(UCP_API_MAJOR, UCP_API_MINOR, &parameters, config, &context_);
  api_.config_release(config);
  if (status != UCS_OK) return failure("starting", status);
  ucp_worker_params_t worker{};
  worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  worker.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  status = api_.worker_create(context_, &worker, &worker_);
  if (status != UCS_OK) return failure("making a worker", status);
  status = api_.worker_get_efd(worker_, &descriptor_);
  if (status != UCS_OK) return failure("waiting for events", status);
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                       UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = kMessage;
  handler.flags = UCP_AM_FLAG_WHOLE_MSG;
  handler.cb = &UcxWire::on_message;
  handler.arg = this;
  status = api_.set_handler(worker_, &handler);
  return status == UCS_OK ? Status{} : failure("listening", status);
}

UcxWire::~UcxWire() {
  if (abandoned_) return;
  for (Peer& peer : peers_) {
    if (peer.endpoint != nullptr) close(peer.endpoint);
  }
  if (worker_ != nullptr) api_.worker_destroy(worker_);
  if (context_ != nullptr) api_.cleanup(context_);
}

void UcxWire::close(ucp_ep_h endpoint) {
  ucp_request_param_t parameters{};
  parameters.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  parameters.flags = UCP_EP_CLOSE_FLAG_FORCE;
  void* request = api_.ep_close(endpoint, &parameters);
  if (!UCS_PTR_IS_PTR(request)) return;
  while (api_.request_status(request) == UCS_INPROGRESS) api_.worker_progress(worker_);
  api_.request_free(request);
}

std::vector<std::byte> UcxWire::address() const {
  ucp_address_t* address = nullptr;
  size_t bytes = 0;
  if (api_.worker_get_address(worker_, &address, &bytes) != UCS_OK) return {};
  const auto* first = reinterpret_cast<const std::byte*>(address);
  std::vector<std::byte> copy(first, first + bytes);
  api_.worker_release_address(worker_, address);
  return copy;
}

Status UcxWire::connect(int rank, std::span<const std::byte> address) {
  Peer& peer = peers_[static_cast<size_t>(rank)];
  peer.wire = this;
  peer.rank = rank;
  ucp_ep_params_t parameters{};
  parameters.field_mask =
      UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  parameters.address = reinterpret_cast<const ucp_address_t*>(address.data());
  parameters.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  parameters.err_handler = {&UcxWire::on_error, &peer};
  const ucs_status_t status = api_.ep_create(worker_, &parameters, &peer.endpoint);
  return status == UCS_OK ? Status{} : failure(fmt::format("reaching rank {}", rank).c_str(), status);
}

void UcxWire::break_off(Peer& peer, ucs_status_t status) {
  if (std::exchange(peer.failed, true)) return;
  listener_.broken(peer.rank, api_.status_string(status));
}

void UcxWire::on_error(void* peer, ucp_ep_h, ucs_status_t status) {
  auto& broken = *static_cast<Peer*>(peer);
  broken.wire->break_off(broken, status);
}

void UcxWire::on_sent(void* request, ucs_status_t, void* user) {
  auto* sending = static_cast<Sending*>(user);
  UcxWire& wire = *sending->to->wire;
  --sending->to->under_way;
  delete sending;
  wire.api_.request_free(request);
}

int UcxWire::unsent() const {
  for (const Peer& peer : peers_) {
    if (peer.under_way > 0) return peer.rank;
  }
  return -1;
}

void UcxWire::send(int rank, std::span<const std::byte> header, std::span<const std::byte> payload) {
  Peer& peer = peers_[static_cast<size_t>(rank)];
  if (peer.endpoint == nullptr || peer.failed) return;
  auto sending = std::make_unique<Sending>();
  sending->to = &peer;
  std::memcpy(sending->header.data(), header.data(), header.size());
  const bool small = payload.size() <= kSmallBytes;
  if (small && !payload.empty()) std::memcpy(sending->small.data(), payload.data(), payload.size());
  ucp_request_param_t parameters{};
  parameters.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
  parameters.cb.send = &UcxWire::on_sent;
  parameters.user_data = sending.get();
  // Complete when it is on its way, whatever the receiver is doing.
  parameters.flags = UCP_AM_SEND_FLAG_EAGER;
  const void* data = small ? sending->small.data() : payload.data();
  void* request =
      api_.am_send(peer.endpoint, kMessage, sending->header.data(), header.size(), data, payload.size(), &parameters);
  if (UCS_PTR_IS_ERR(request)) return break_off(peer, UCS_PTR_STATUS(request));
  if (request == nullptr) return;  // gone already
  ++peer.under_way;
  static_cast<void>(sending.release());
}

ucs_status_t UcxWire::on_message(void* self, const void* header, size_t header_bytes, void* data, size_t bytes,
                                 const ucp_am_recv_param_t* parameters) {
  // A sender that does not keep to messages sent at once is no rank of ours.
  if ((parameters->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0) return UCS_OK;
  static_cast<UcxWire*>(self)->listener_.arrived({static_cast<const std::byte*>(header), header_bytes},
                                                 {static_cast<const std::byte*>(data), bytes});
  return UCS_OK;
}

}  // namespace

bool Wire::built_in() { return true; }

Expected<std::unique_ptr<Wire>> Wire::open(Listener& listener, int size) {
  const auto api = load();
  if (!api) return fail(api.error());
  auto made = std::make_unique<UcxWire>(**api, listener, size);
  if (Status s = made->start(); !s) return fail(s.error());
  return made;
}

}  // namespace tandem

#else

namespace tandem {

bool Wire::built_in() { return false; }

Expected<std::unique_ptr<Wire>> Wire::open(Listener&, int) {
  return fail(ErrorCode::unsupported,
              "connect: ranks of several hosts want UCX, and this library was built without UCX (libucx-dev)");
}

}  // namespace tandem
#endif
