// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/communicator.h"

#include <fmt/format.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <future>
#include <thread>

#include "front/python/call.h"
#include "front/python/collective.h"

namespace tandem::python {
namespace {

using Handle = std::shared_ptr<CommunicatorHandle>;

// A collective in the queue of its communicator: it takes its turn among the operators.
struct Enqueued final : Plan::Body {
  std::shared_ptr<Communicator> comm;
  Collective call;

  size_t workspace_bytes() const override { return 0; }
  std::string_view name() const override { return call.kind; }
  std::string describe() const override { return comm->describe(); }
  Communicator* communicator() const override { return comm.get(); }
  Status execute(std::span<std::byte>, Lane& lane) const override { return call.run(*comm, lane); }
};

// Messages that take one turn together.
struct Exchange final : Plan::Body {
  std::shared_ptr<Communicator> comm;
  std::vector<Message> messages;

  size_t workspace_bytes() const override { return 0; }
  std::string_view name() const override { return "batch_send_recv"; }
  std::string describe() const override { return comm->describe(); }
  Communicator* communicator() const override { return comm.get(); }
  Status execute(std::span<std::byte>, Lane& lane) const override { return batch_send_recv(*comm, messages, lane); }
};

// Work under way; holds the arrays until it is known to be over.
class Work {
 public:
  Work(Handle handle, std::vector<Array> arrays) : handle_(std::move(handle)), arrays_(std::move(arrays)) {}
  ~Work() {
    if (over_ || event_.complete()) return;
    const nb::gil_scoped_release free;  // other ranks may be threads of this interpreter
    static_cast<void>(event_.synchronize());
  }
  Event& event() { return event_; }
  bool done() const { return over_ || event_.complete(); }
  // False when `seconds` passed first.
  bool wait(double seconds) {
    if (!over_) {
      if (!handle_->queue.wait(event_, handle_->comm.get(), seconds)) return false;
      over_ = true;
      arrays_.clear();
      status_ = event_.fault();
      if (!status_) handle_->queue.replace();
    }
    check(status_);
    return true;
  }

 private:
  Handle handle_;
  std::vector<Array> arrays_;
  Event event_;
  bool over_ = false;
  Status status_;  // once over: every wait gives it
};

std::shared_ptr<Work> enqueue(const Handle& handle, std::shared_ptr<const Plan::Body> body, std::vector<Array> arrays) {
  auto work = std::make_shared<Work>(handle, std::move(arrays));
  Stream& stream = handle->queue.stream();
  check(Plan(std::move(body)).run({}, stream));
  stream.record(work->event());
  return work;
}

using Counts = std::vector<int64_t>;

std::shared_ptr<Work> start(const Handle& handle, std::string kind, nb::handle in, nb::handle out, std::string_view op,
                            int root, Counts counts, Counts displacements, Counts receives, Counts offsets) {
  const auto body = std::make_shared<Enqueued>();
  body->comm = handle->comm;
  Collective& call = body->call;
  call.kind = std::move(kind);
  call.root = root;
  call.counts = std::move(counts), call.displacements = std::move(displacements);
  call.receives = std::move(receives), call.receive_offsets = std::move(offsets);
  std::vector<Array> arrays;
  if (!in.is_none()) {
    arrays.push_back(array_of(in, false, call.kind, "input"));
    call.in = arrays.back().view;
  }
  if (!out.is_none()) {
    arrays.push_back(array_of(out, true, call.kind, "output"));
    call.out = arrays.back().view;
  }
  check(settle(call, op, *handle->comm));
  return enqueue(handle, body, std::move(arrays));
}

// (send or not, array, peer) of each message.
using Listed = std::vector<std::tuple<bool, nb::object, int>>;

std::shared_ptr<Work> exchange(const Handle& handle, const Listed& messages) {
  const auto body = std::make_shared<Exchange>();
  body->comm = handle->comm;
  std::vector<Array> arrays;
  for (const auto& [sends, object, peer] : messages) {
    Collective one;
    one.kind = sends ? "send" : "recv", one.root = peer;
    arrays.push_back(array_of(object, !sends, one.kind, sends ? "input" : "output"));
    const TensorView& view = (sends ? one.in : one.out) = arrays.back().view;
    check(settle(one, "sum", *handle->comm));
    const auto kind = sends ? Message::Kind::send : Message::Kind::receive;
    body->messages.push_back({kind, view.data, view.elements(), view.dtype, peer});
  }
  return enqueue(handle, body, std::move(arrays));
}

std::vector<Handle> handles_of(std::vector<std::shared_ptr<Communicator>> ranks) {
  std::vector<Handle> handles;
  for (auto& rank : ranks) handles.push_back(std::make_shared<CommunicatorHandle>(std::move(rank)));
  return handles;
}

std::vector<Handle> local(int size, const std::vector<int>& devices, const std::string& name, size_t window_bytes) {
  return handles_of(check(Communicator::local(size, devices, name, window_bytes)));
}

using Joined = Expected<std::shared_ptr<Communicator>>;

// Joins on a thread of its own, so that signals of Python are seen meanwhile. An interrupted caller goes at once; the
// thread ends at its deadline, and what it still joins it leaves again.
Handle joined(std::packaged_task<Joined()> join) {
  std::future<Joined> made = join.get_future();
  std::thread(std::move(join)).detach();
  bool stop = false;
  {
    const nb::gil_scoped_release free;
    while (!stop && made.wait_for(std::chrono::milliseconds(kSlice)) != std::future_status::ready) stop = signalled();
  }
  if (stop) throw nb::python_error();
  return std::make_shared<CommunicatorHandle>(check(made.get()));
}

Handle connect(int rank, int size, std::string name, std::string address, int device, double timeout,
               double call_timeout, size_t window_bytes) {
  Rendezvous meeting;
  meeting.rank = rank, meeting.size = size, meeting.device = device;
  meeting.name = std::move(name), meeting.address = std::move(address);
  meeting.timeout_s = timeout, meeting.call_s = call_timeout;
  return joined(std::packaged_task<Joined()>([=] { return Communicator::connect(meeting, window_bytes); }));
}

Handle split(const CommunicatorHandle& self, const std::vector<int>& ranks, uint64_t id, const std::string& name) {
  return joined(std::packaged_task<Joined()>([=, comm = self.comm] { return comm->split(ranks, id, name); }));
}

Handle shrink(const CommunicatorHandle& self, double timeout) {
  return joined(std::packaged_task<Joined()>([=, comm = self.comm] { return comm->shrink(timeout); }));
}

void abort(const CommunicatorHandle& self, const std::string& reason) {
  self.comm->abort({ErrorCode::cancelled, fmt::format("rank {}: {}", self.comm->rank(), reason)});
}

}  // namespace

void add_communicator(nb::module_& module) {
  nb::class_<Work>(module, "Work").def("done", &Work::done).def("wait", &Work::wait, nb::arg("timeout") = -1.0);
  nb::class_<CommunicatorHandle>(module, "Communicator")
      .def_static("local", local, nb::arg("size"), nb::arg("devices") = std::vector<int>{}, nb::arg("name") = "",
                  nb::arg("window_bytes") = 0)
      .def_static("connect", connect, nb::arg("rank"), nb::arg("size"), nb::arg("name"), nb::arg("address"),
                  nb::arg("device") = 0, nb::arg("timeout") = 0.0, nb::arg("call_timeout") = -1.0,
                  nb::arg("window_bytes") = 0)
      .def_static(
          "find",
          [](const std::string& name, int device) {
            return std::make_shared<CommunicatorHandle>(check(Communicator::find(name, device)));
          },
          nb::arg("name"), nb::arg("device") = 0)
      .def_prop_ro("rank", [](const CommunicatorHandle& self) { return self.comm->rank(); })
      .def_prop_ro("size", [](const CommunicatorHandle& self) { return self.comm->size(); })
      .def_prop_ro("device", [](const CommunicatorHandle& self) { return self.comm->device(); })
      .def_prop_ro("name", [](const CommunicatorHandle& self) { return self.comm->name(); })
      .def("__repr__", [](const CommunicatorHandle& self) { return self.comm->describe(); })
      .def("start", start, nb::arg("kind"), nb::arg("input").none() = nb::none(), nb::arg("output").none() = nb::none(),
           nb::arg("op") = "sum", nb::arg("root") = 0, nb::arg("counts") = Counts{},
           nb::arg("displacements") = Counts{}, nb::arg("receives") = Counts{}, nb::arg("receive_offsets") = Counts{})
      .def("exchange", exchange, nb::arg("messages"))
      .def("split", split, nb::arg("ranks"), nb::arg("id"), nb::arg("name") = "")
      .def("shrink", shrink, nb::arg("timeout") = 0.0)
      .def("abort", abort, nb::arg("reason"))
      .def("health", [](const CommunicatorHandle& self) { check(self.comm->health()); })
      .def("close", [](const CommunicatorHandle& self) { self.comm->retire(); });
}

}  // namespace tandem::python
