// SPDX-License-Identifier: Apache-2.0
// gloo over TCP of the loopback device, the transport its users on one host get.
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "bench/compare/collective_peer.h"

namespace {

// Kept until stop(): connections of a context end with it.
std::shared_ptr<gloo::rendezvous::Context> g_context;

struct Call {
  std::function<void()> run;
};

bool is(const char* a, const char* b) { return std::strcmp(a, b) == 0; }

const char* start(int rank, int ranks, const char* meeting) try {
  gloo::transport::tcp::attr attributes;
  attributes.iface = "lo";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  gloo::rendezvous::FileStore store(meeting);
  g_context = std::make_shared<gloo::rendezvous::Context>(rank, ranks);
  g_context->connectFullMesh(store, device);
  return nullptr;
} catch (const std::exception& error) {
  static std::string words;
  words = error.what();
  return words.c_str();
}

const char* version() { return "gloo " TANDEM_PEER_VERSION; }

template <class T>
Call* make_of(const TandemCollectiveCall& c) {
  auto* in = const_cast<T*>(static_cast<const T*>(c.in));
  auto* out = static_cast<T*>(c.out);
  const auto count = static_cast<size_t>(c.count), all = count * static_cast<size_t>(g_context->size);
  if (is(c.operation, "all_reduce") && is(c.reduction, "sum")) {
    return new Call{[=] {
      gloo::AllreduceOptions options(g_context);
      options.setInput(in, count);
      options.setOutput(out, count);
      options.setReduceFunction(static_cast<void (*)(void*, const void*, const void*, size_t)>(&gloo::sum<T>));
      gloo::allreduce(options);
    }};
  }
  if (is(c.operation, "all_gather")) {
    return new Call{[=] {
      gloo::AllgatherOptions options(g_context);
      options.setInput(in, count);
      options.setOutput(out, all);
      gloo::allgather(options);
    }};
  }
  if (is(c.operation, "all_to_all")) {
    return new Call{[=] {
      gloo::AlltoallOptions options(g_context);
      options.setInput(in, all);
      options.setOutput(out, all);
      gloo::alltoall(options);
    }};
  }
  if (!is(c.operation, "broadcast")) return nullptr;
  const int root = c.root;
  return new Call{[=] {
    gloo::BroadcastOptions options(g_context);
    options.setOutput(out, count);
    options.setRoot(root);
    gloo::broadcast(options);
  }};
}

void* make(const TandemCollectiveCall* call) {
  if (is(call->type, "float")) return make_of<float>(*call);
  if (is(call->type, "double")) return make_of<double>(*call);
  if (is(call->type, "int32")) return make_of<int32_t>(*call);
  if (is(call->type, "int64")) return make_of<int64_t>(*call);
  if (is(call->type, "int8")) return make_of<int8_t>(*call);
  if (is(call->type, "uint8")) return make_of<uint8_t>(*call);
  return nullptr;
}

int run(void* call) try {
  static_cast<Call*>(call)->run();
  return 0;
} catch (const std::exception&) {
  return 1;
}

void drop(void* call) { delete static_cast<Call*>(call); }
void stop() { g_context.reset(); }

}  // namespace

extern "C" const TandemCollectivePeer* tandem_collective_peer() {
  static const TandemCollectivePeer peer = {"gloo", version, start, make, run, drop, stop};
  return &peer;
}
