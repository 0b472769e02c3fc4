// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tandem/comm/collective_call.h"
#include "tandem/comm/communicator_impl.h"

// Messages between two ranks, in pieces: the sender writes a piece into its outbox and counts `sent`, the receiver
// copies it and counts `taken`. Two pieces are under way at most.
namespace tandem {
namespace {

constexpr uint32_t kUnderWay = 2;
constexpr size_t kUnit = 8;

}  // namespace

class Messages {
 public:
  Messages(Communicator& comm, std::span<const Message> messages, std::string_view name)
      : comm_(comm), impl_(*comm.impl_), messages_(messages), name_(name) {}

  Status run();

 private:
  // Messages of one direction between this rank and one peer, one after the other.
  struct Channel {
    Message::Kind kind;
    int peer;
    size_t next = 0;     // message under way
    size_t moved = 0;    // bytes of it
    bool begun = false;  // it was announced, or compared with the announcement
  };

  bool sends(const Channel& c) const { return c.kind == Message::Kind::send; }
  size_t find(const Channel& c, size_t from) const;
  size_t bytes_of(const Message& m) const { return dtype_bytes(m.type, m.count); }
  std::byte* slot(int from, int to, uint32_t piece) const;
  uint32_t theirs(const Channel& c) const;
  uint32_t wanted(const Channel& c) const;
  bool can_step(const Channel& c) const { return static_cast<int32_t>(theirs(c) - wanted(c)) >= 0; }
  Status step(Channel& c);
  void send_piece(Channel& c, const Message& m);
  Status receive_piece(Channel& c, const Message& m);
  Status compare(const Channel& c, const Message& m);
  Status pump();
  Status wait();
  Status copy_to_self();
  void record();
  Goal goal_of(const Channel& c) const { return {c.peer, sends(c) ? kTaken : kSent, wanted(c)}; }

  Communicator& comm_;
  Communicator::Impl& impl_;
  std::span<const Message> messages_;
  std::string_view name_;
  std::vector<Channel> channels_;
  size_t piece_bytes_ = 0;
};

// The next message of the channel at or behind `from`; messages_.size() when there is none.
size_t Messages::find(const Channel& c, size_t from) const {
  while (from < messages_.size() && (messages_[from].kind != c.kind || messages_[from].peer != c.peer)) ++from;
  return from;
}

std::byte* Messages::slot(int from, int to, uint32_t piece) const {
  const size_t index = static_cast<size_t>(to) * kUnderWay + piece % kUnderWay;
  return impl_.segments[static_cast<size_t>(from)]->outbox() + index * piece_bytes_;
}

// The peer's counter that lets the channel go on, and the value it has to reach.
uint32_t Messages::theirs(const Channel& c) const {
  return impl_.board.pair_counter(sends(c) ? kTaken : kSent, c.peer, comm_.rank()).load(std::memory_order_acquire);
}

uint32_t Messages::wanted(const Channel& c) const {
  const auto peer = static_cast<size_t>(c.peer);
  if (!sends(c)) return impl_.taken[peer] + 1;
  // A message ends when all of it was taken.
  const bool all_sent = c.begun && c.moved == bytes_of(messages_[c.next]);
  return all_sent ? impl_.sent[peer] : impl_.sent[peer] + 1 - kUnderWay;
}

void Messages::send_piece(Channel& c, const Message& m) {
  const size_t bytes = std::min(piece_bytes_, bytes_of(m) - c.moved);
  uint32_t& sent = impl_.sent[static_cast<size_t>(c.peer)];
  if (!c.begun) {
    PairLine& line = impl_.board.own().pairs[c.peer];
    line.dtype.store(static_cast<uint32_t>(m.type), std::memory_order_relaxed);
    line.count.store(static_cast<uint64_t>(m.count), std::memory_order_relaxed);
    c.begun = true;
  }
  copy_bytes(slot(comm_.rank(), c.peer, sent), as_bytes(m.data) + c.moved, bytes);
  comm_.lend(slot(comm_.rank(), c.peer, sent), bytes, c.peer);
  c.moved += bytes;
  ++sent;
  if (impl_.tells("sent")) impl_.board.publish_pair(kSent, c.peer, sent);
}

Status Messages::compare(const Channel& c, const Message& m) {
  const PairLine& line = impl_.board.of(c.peer).pairs[comm_.rank()];
  const uint64_t count = line.count.load(std::memory_order_relaxed);
  const uint32_t type = line.dtype.load(std::memory_order_relaxed);
  if (count == static_cast<uint64_t>(m.count) && type == static_cast<uint32_t>(m.type)) return {};
  const std::string_view type_name =
      type <= static_cast<uint32_t>(DType::u64) ? dtype_name(static_cast<DType>(type)) : "unknown";
  return fail(comm_.disagree(c.peer, fmt::format("rank {} sends {} elements of {} to rank {}, which expects {} of {}",
                                                 c.peer, count, type_name, comm_.rank(), m.count, dtype_name(m.type))));
}

Status Messages::receive_piece(Channel& c, const Message& m) {
  if (!c.begun) {
    if (Status s = compare(c, m); !s) return s;
    c.begun = true;
  }
  const size_t bytes = std::min(piece_bytes_, bytes_of(m) - c.moved);
  uint32_t& taken = impl_.taken[static_cast<size_t>(c.peer)];
  copy_bytes(as_bytes(m.data) + c.moved, slot(c.peer, comm_.rank(), taken), bytes);
  c.moved += bytes;
  ++taken;
  if (impl_.tells("taken")) impl_.board.publish_pair(kTaken, c.peer, taken);
  return {};
}

// One piece further, or on to the next message.
Status Messages::step(Channel& c) {
  const Message& m = messages_[c.next];
  const bool complete = c.begun && c.moved == bytes_of(m);
  if (!complete) {
    if (!sends(c)) {
      if (Status s = receive_piece(c, m); !s) return s;
    } else {
      send_piece(c, m);
      return {};
    }
    if (c.moved < bytes_of(m)) return {};
  }
  c = {c.kind, c.peer, find(c, c.next + 1)};
  return {};
}

// Goes on with every channel as far as it can; those that are done are dropped.
Status Messages::pump() {
  for (Channel& c : channels_) {
    while (c.next < messages_.size() && can_step(c)) {
      if (Status s = step(c); !s) return s;
    }
  }
  std::erase_if(channels_, [&](const Channel& c) { return c.next == messages_.size(); });
  return {};
}

Status Messages::wait() {
  const Channel* blamed = &channels_[0];
  for (const Channel& c : channels_) {
    if (impl_.board.left(c.peer)) blamed = &c;
  }
  const std::string_view what = sends(*blamed) ? "waiting for the receiver" : "waiting for the message";
  impl_.tells("await");
  if (channels_.size() == 1 || impl_.board.left(blamed->peer)) return impl_.wait_for(goal_of(*blamed), what);
  const Goal any{blamed->peer, kAnyPair, 0};
  return impl_.wait_for(any, what, [&] {
    return std::ranges::any_of(channels_, [&](const Channel& c) { return can_step(c) || impl_.board.left(c.peer); });
  });
}

// The i-th message to this rank itself meets the i-th receive from it.
Status Messages::copy_to_self() {
  const int own = comm_.rank();
  Channel out{Message::Kind::send, own}, in{Message::Kind::receive, own};
  out.next = find(out, 0);
  in.next = find(in, 0);
  while (out.next < messages_.size() && in.next < messages_.size()) {
    const Message& from = messages_[out.next];
    const Message& to = messages_[in.next];
    if (from.count != to.count || from.type != to.type) break;
    copy_bytes(as_bytes(to.data), as_bytes(from.data), bytes_of(to));
    out.next = find(out, out.next + 1);
    in.next = find(in, in.next + 1);
  }
  if (out.next == in.next) return {};
  return fail(ErrorCode::invalid_argument,
              fmt::format("{}: rank {}: messages to itself without a receive of the same count and type", name_, own));
}

// Of a batch the first message stands for all.
void Messages::record() {
  Fingerprint call;
  std::memcpy(call.operation, name_.data(), std::min(name_.size(), sizeof call.operation));
  call.count = messages_.empty() ? 0 : messages_[0].count;
  call.output = messages_.empty() ? DType::none : messages_[0].type;
  call.root = messages_.empty() ? -1 : messages_[0].peer;
  impl_.flight.begin(call, impl_.sequence);
}

Status Messages::run() {
  if (Status s = impl_.enter(name_); !s) return s;
  if (Status s = copy_to_self(); !s) return s;
  record();
  if (comm_.size() == 1) return {};
  impl_.policy = impl_.device->oversubscribed() ? WaitPolicy::oversubscribed : WaitPolicy::own_core;
  impl_.board.own().progress.inside.store(1, std::memory_order_release);
  size_t outbox = impl_.segments[0]->outbox_bytes();
  for (const auto& segment : impl_.segments) outbox = std::min(outbox, segment->outbox_bytes());
  piece_bytes_ = outbox / (static_cast<size_t>(comm_.size()) * kUnderWay) / kUnit * kUnit;
  for (int peer = 0; peer < comm_.size(); ++peer) {
    for (const auto kind : {Message::Kind::receive, Message::Kind::send}) {
      Channel c{kind, peer};
      c.next = find(c, 0);
      if (peer != comm_.rank() && c.next < messages_.size()) channels_.push_back(c);
    }
  }
  while (true) {
    if (Status s = pump(); !s) return s;
    if (channels_.empty()) break;
    if (Status s = wait(); !s) return s;
  }
  comm_.end();
  return {};
}

namespace {

Status check_message(const CollectiveCall& call, const Message& m) {
  CollectiveCall one = call;
  one.count = m.count;
  one.type = m.type;
  if (Status s = check(one); !s) return s;
  if (m.peer < 0 || m.peer >= call.comm.size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: peer {}, 0 to {} wanted", call.name, m.peer, call.comm.size() - 1));
  }
  return check_buffer(one, "data", m.data, m.count);
}

Status run_one(const CollectiveCall& call, const Message& message) {
  if (Status s = check_message(call, message); !s) return s;
  if (message.peer == call.comm.rank()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: peer {} is this rank itself, another one wanted", call.name, message.peer));
  }
  return Messages(call.comm, {&message, 1}, call.name).run();
}

}  // namespace

Status send(Communicator& comm, const void* in, int64_t count, DType type, int to, Lane& lane) {
  return run_one({comm, lane, "send"}, {Message::Kind::send, const_cast<void*>(in), count, type, to});
}

Status recv(Communicator& comm, void* out, int64_t count, DType type, int from, Lane& lane) {
  return run_one({comm, lane, "recv"}, {Message::Kind::receive, out, count, type, from});
}

Status batch_send_recv(Communicator& comm, std::span<const Message> messages, Lane& lane) {
  const CollectiveCall call{comm, lane, "batch_send_recv"};
  for (const Message& message : messages) {
    if (Status s = check_message(call, message); !s) return s;
  }
  return Messages(comm, messages, call.name).run();
}

}  // namespace tandem
