// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/bridge.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/base/log.h"
#include "tandem/comm/fingerprint.h"

namespace tandem {
namespace {

enum Kind : uint32_t { kBytes = 1, kState = 2, kPair = 3 };

constexpr size_t kParcelBytes = 128 * 1024;
constexpr uint64_t kMostAhead = 1 << 16;     // parcels that may come before their turn
constexpr int64_t kVerdictNs = 500'000'000;  // the transport often notices a death before the line does
constexpr int64_t kFarewellNs = 2'000'000'000;

template <class T>
bool read_words(std::span<const std::byte> payload, T& words) {
  if (payload.size() != sizeof words) return false;
  std::memcpy(static_cast<void*>(&words), payload.data(), sizeof words);
  return true;
}

}  // namespace

// Parcels of one rank to another are numbered: the transport promises no order.
struct Bridge::Parcel {
  uint64_t cookie[2];
  uint32_t from;
  uint32_t kind;
  uint64_t number;  // from 1
  uint64_t at;      // kBytes: offset in the sender's segment
  uint64_t reserved;
};

struct Bridge::StateWords {
  uint64_t slots[2][sizeof(FingerprintSlot) / 8];
  uint64_t digest[2];
  uint64_t blocked;
  uint32_t local[2];
  uint32_t counters[kCounters];
  uint32_t state, steps, inside, reserved;
};

struct Bridge::PairWords {
  uint64_t count;
  uint32_t dtype, sent, taken, reserved;
};

Bridge::Bridge(int rank, int size)
    : rank_(rank),
      far_(static_cast<size_t>(size)),
      link_s_(env_number("TANDEM_LINK_S", 0, 1e6).value_or(10)),
      peers_(static_cast<size_t>(size)),
      lines_(*this) {}

Expected<std::unique_ptr<Bridge>> Bridge::make(int rank, int size, std::string_view address) {
  static_assert(sizeof(Parcel) == Wire::kHeaderBytes && sizeof(StateWords) <= Wire::kSmallBytes);
  std::unique_ptr<Bridge> made(new Bridge(rank, size));
  cookie_of(address, made->cookie_);
  auto wire = Wire::open(*made, size);
  if (!wire) return fail(wire.error());
  made->wire_ = std::move(*wire);
  return made;
}

Status Bridge::join(std::vector<std::shared_ptr<SegmentMap>> segments, std::vector<FarPeer> peers,
                    std::vector<std::string> places) {
  segments_ = std::move(segments);
  for (size_t rank = 0; rank < peers.size(); ++rank) {
    far_[rank] = peers[rank].line.valid();
    peers_[rank].place = std::move(places[rank]);
    waiting_lines_.push_back(std::move(peers[rank].line));
    if (!far_[rank]) continue;
    if (Status s = wire_->connect(static_cast<int>(rank), peers[rank].wire); !s) return s;
  }
  return {};
}

Status Bridge::start(Events events) {
  events_ = std::move(events);
  doorbell_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{EPOLLONESHOT, {}};
  if (!doorbell_.valid() || epoll_ctl(doorbell_.get(), EPOLL_CTL_ADD, wire_->descriptor(), &event) != 0) {
    return fail(ErrorCode::out_of_memory, fmt::format("connect: epoll failed ({})", strerrordesc_np(errno)));
  }
  if (Status s = lines_.start(std::move(waiting_lines_), doorbell_.get(), link_s_); !s) return s;
  rest();
  return {};
}

// The transport is closed before the segments go: it may still hold parts of windows.
Bridge::~Bridge() {
  lines_.stop();
  wire_.reset();
}

void Bridge::abandon() noexcept {
  lines_.abandon();
  for (Descriptor& line : waiting_lines_) line.close();
  doorbell_.close();
  if (wire_) wire_->abandon();
}

// --- sending

void Bridge::post(int to, uint32_t kind, uint64_t at, std::span<const std::byte> payload) {
  Far& far = of(to);
  if (far.ended) return;
  const Parcel parcel{{cookie_[0], cookie_[1]}, static_cast<uint32_t>(rank_), kind, ++far.sent, at, 0};
  wire_->send(to, std::as_bytes(std::span(&parcel, 1)), payload);
}

Bridge::StateWords Bridge::state_words() const {
  const Segment& own = *segments_[static_cast<size_t>(rank_)]->segment();
  StateWords words{};
  for (size_t slot = 0; slot < 2; ++slot) {
    for (size_t i = 0; i < std::size(words.slots[slot]); ++i) words.slots[slot][i] = own.slots[slot].words[i].load();
    words.digest[slot] = own.counters[kCalled].digest[slot].load();
    words.local[slot] = own.counters[kCalled].local[slot].load();
  }
  for (size_t i = 0; i < kCounters; ++i) words.counters[i] = own.counters[i].value.load();
  words.blocked = own.blocked.goal.load();
  words.state = own.state.value.load();
  words.steps = own.progress.steps.load();
  words.inside = own.progress.inside.load();
  return words;
}

void Bridge::tell_state() {
  const StateWords words = state_words();
  const std::lock_guard lock(mutex_);
  for (int rank = 0; rank < static_cast<int>(far_.size()); ++rank) {
    if (far(rank)) post(rank, kState, 0, std::as_bytes(std::span(&words, 1)));
  }
}

void Bridge::tell_pair(int towards) {
  if (!far(towards)) return;
  const PairLine& line = segments_[static_cast<size_t>(rank_)]->segment()->pairs[towards];
  const PairWords words{line.count.load(), line.dtype.load(), line.sent.load(), line.taken.load(), 0};
  const std::lock_guard lock(mutex_);
  post(towards, kPair, 0, std::as_bytes(std::span(&words, 1)));
}

void Bridge::tell_failure(const Failure& failure) {
  LineMessage message;
  message.kind = LineMessage::failure;
  message.code = static_cast<uint32_t>(failure.code);
  message.culprit = static_cast<uint32_t>(failure.culprit);
  message.length = static_cast<uint32_t>(std::min(failure.reason.size(), sizeof message.text));
  std::memcpy(message.text, failure.reason.data(), message.length);
  lines_.say_to_all(message);
}

void Bridge::lend(const std::byte* first, size_t bytes, int reader) {
  const auto* base = reinterpret_cast<const std::byte*>(segments_[static_cast<size_t>(rank_)]->segment());
  const std::lock_guard lock(mutex_);
  for (int rank = 0; rank < static_cast<int>(far_.size()); ++rank) {
    if (!far(rank) || (reader >= 0 && reader != rank)) continue;
    for (size_t done = 0; done < bytes; done += kParcelBytes) {
      const size_t some = std::min(kParcelBytes, bytes - done);
      post(rank, kBytes, static_cast<uint64_t>(first - base) + done, {first + done, some});
    }
  }
}

int Bridge::unsent() const {
  const std::lock_guard lock(mutex_);
  return wire_->unsent();
}

// --- receiving

bool Bridge::pump() {
  const std::lock_guard lock(mutex_);
  resting_ = false;
  return wire_->progress();
}

bool Bridge::rest() {
  const std::lock_guard lock(mutex_);
  resting_ = true;
  return rest_locked();
}

bool Bridge::rest_locked() {
  constexpr int kTries = 1000;
  bool quiet = true;
  for (int i = 0; i < kTries; ++i) {
    while (wire_->progress()) quiet = false;
    if (wire_->arm()) break;
  }
  epoll_event event{EPOLLIN | EPOLLONESHOT, {}};
  epoll_ctl(doorbell_.get(), EPOLL_CTL_MOD, wire_->descriptor(), &event);
  return quiet;
}

void Bridge::arrived(std::span<const std::byte> header, std::span<const std::byte> payload) {
  Parcel parcel;
  if (!read_words(header, parcel) || parcel.cookie[0] != cookie_[0] || parcel.cookie[1] != cookie_[1]) return;
  if (parcel.from >= far_.size() || !far(static_cast<int>(parcel.from))) return;
  Far& sender = of(static_cast<int>(parcel.from));
  if (parcel.number != sender.applied + 1) return hold(sender, parcel, payload);
  apply(parcel, payload);
  while (!sender.held.empty() && sender.held.begin()->first == sender.applied + 1) {
    const Held held = std::move(sender.held.begin()->second);
    sender.held.erase(sender.held.begin());
    sender.held_bytes -= held.payload.size();
    Parcel next;
    if (read_words(held.header, next)) apply(next, held.payload);
  }
}

void Bridge::hold(Far& far, const Parcel& parcel, std::span<const std::byte> payload) {
  const bool sane = parcel.number > far.applied && parcel.number - far.applied < kMostAhead &&
                    far.held_bytes + payload.size() <= 2 * kCommunicatorBytes;
  if (!sane) return;
  const auto header = std::as_bytes(std::span(&parcel, 1));
  far.held_bytes += payload.size();
  far.held.try_emplace(parcel.number, Held{{header.begin(), header.end()}, {payload.begin(), payload.end()}});
}

void Bridge::apply(const Parcel& parcel, std::span<const std::byte> payload) {
  const int from = static_cast<int>(parcel.from);
  Far& sender = of(from);
  sender.applied = parcel.number;
  if (parcel.kind == kBytes) apply_bytes(from, parcel.at, payload);
  if (parcel.kind == kState) apply_state(from, payload);
  if (parcel.kind == kPair) apply_pair(from, payload);
  auto& steps = segments_[static_cast<size_t>(from)]->segment()->progress.steps;
  steps.store(steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Windows and outboxes only; a header is never written byte by byte.
void Bridge::apply_bytes(int from, uint64_t at, std::span<const std::byte> payload) {
  const SegmentMap& copy = *segments_[static_cast<size_t>(from)];
  const uint64_t end = kHeaderBytes + copy.window_bytes() + copy.outbox_bytes();
  if (at < kHeaderBytes || at > end || payload.size() > end - at) return;
  if (payload.empty()) return;
  std::memcpy(reinterpret_cast<std::byte*>(copy.segment()) + at, payload.data(), payload.size());
}

void Bridge::apply_state(int from, std::span<const std::byte> payload) {
  StateWords words;
  if (!read_words(payload, words)) return;
  Segment& copy = *segments_[static_cast<size_t>(from)]->segment();
  for (size_t slot = 0; slot < 2; ++slot) {
    for (size_t i = 0; i < std::size(words.slots[slot]); ++i) copy.slots[slot].words[i].store(words.slots[slot][i]);
    copy.counters[kCalled].digest[slot].store(words.digest[slot]);
    copy.counters[kCalled].local[slot].store(words.local[slot]);
  }
  copy.progress.inside.store(words.inside);
  copy.blocked.goal.store(words.blocked);
  for (size_t i = 0; i < kCounters; ++i) copy.counters[i].value.store(words.counters[i]);
  if (words.state == static_cast<uint32_t>(RankState::left)) copy.state.value.store(words.state);
}

void Bridge::apply_pair(int from, std::span<const std::byte> payload) {
  PairWords words;
  if (!read_words(payload, words)) return;
  PairLine& line = segments_[static_cast<size_t>(from)]->segment()->pairs[rank_];
  line.count.store(words.count);
  line.dtype.store(words.dtype);
  line.sent.store(words.sent);
  line.taken.store(words.taken);
}

// --- words and ends; on the thread of the lines, but for broken()

void Bridge::broken(int peer, const char* reason) {
  Far& far = of(peer);
  far.broken = reason;
  far.broken_ns = monotonic_ns();
  lines_.nudge();
}

void Bridge::rang() {
  {
    const std::lock_guard lock(mutex_);
    epoll_event event{};
    epoll_wait(doorbell_.get(), &event, 1, 0);
    while (wire_->progress()) {
    }
    if (resting_) rest_locked();
  }
  answer_farewells();
  events_.news();
}

void Bridge::heard(int rank, const LineMessage& message) {
  if (message.kind == LineMessage::failure) {
    Failure failure;
    failure.code = static_cast<ErrorCode>(message.code);
    failure.culprit = static_cast<int>(message.culprit);
    failure.reason.assign(message.text, message.length);
    Board::store_failure(segments_[static_cast<size_t>(rank)]->segment()->failure, failure);
    events_.news();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (message.kind == LineMessage::heard_all) of(rank).heard_all = true;
    if (message.kind == LineMessage::goodbye) {
      of(rank).leaves = true;
      of(rank).farewell = message.number;
    }
  }
  answer_farewells();
}

// A rank that leaves waits until all it sent was applied here.
void Bridge::answer_farewells() {
  std::vector<int> done;
  {
    const std::lock_guard lock(mutex_);
    for (size_t rank = 0; rank < peers_.size(); ++rank) {
      Far& far = peers_[rank];
      if (!far.farewell || far.applied < *far.farewell) continue;
      far.farewell.reset();
      done.push_back(static_cast<int>(rank));
    }
  }
  LineMessage message;
  message.kind = LineMessage::heard_all;
  for (const int rank : done) lines_.say(rank, message);
}

void Bridge::ended(int rank, int error) {
  std::string place;
  bool leaves = false;
  {
    const std::lock_guard lock(mutex_);
    Far& far = of(rank);
    far.ended = true;
    leaves = far.leaves;
    place = far.place;
  }
  if (leaves) return events_.news();
  const bool died = error == 0 || error == ECONNRESET || error == EPIPE;
  const std::string how = died ? "died"
                               : fmt::format("cannot be reached: no answer for {:.3g} s (TANDEM_LINK_S; {})", link_s_,
                                             strerrordesc_np(error));
  events_.lost({ErrorCode::peer_lost, rank, fmt::format("rank {} ({}) {}", rank, place, how)});
}

int Bridge::patience_ms() {
  constexpr int kSoonMs = 5;
  const std::lock_guard lock(mutex_);
  const bool open = std::ranges::any_of(peers_, [](const Far& far) {
    return far.farewell.has_value() || (!far.broken.empty() && !far.ended && !far.leaves);
  });
  return open ? kSoonMs : -1;
}

void Bridge::on_time() {
  answer_farewells();
  report_broken();
}

// A transport that fails although the line stands: a firewall, or no route for the network it chose.
void Bridge::report_broken() {
  std::vector<Failure> failures;
  {
    const std::lock_guard lock(mutex_);
    for (size_t rank = 0; rank < peers_.size(); ++rank) {
      Far& far = peers_[rank];
      if (far.broken.empty() || far.ended || far.leaves || monotonic_ns() - far.broken_ns < kVerdictNs) continue;
      failures.push_back(
          {ErrorCode::peer_lost, static_cast<int>(rank),
           fmt::format("rank {} ({}) cannot be reached by UCX ({})", rank, far.place, std::exchange(far.broken, {}))});
    }
  }
  for (Failure& failure : failures) events_.lost(std::move(failure));
}

void Bridge::leave(bool failed) {
  LineMessage message;
  message.kind = LineMessage::goodbye;
  for (size_t rank = 0; rank < peers_.size(); ++rank) {
    if (!far_[rank]) continue;
    {
      const std::lock_guard lock(mutex_);
      message.number = peers_[rank].sent;
    }
    lines_.say(static_cast<int>(rank), message);
  }
  const Deadline patience{monotonic_ns() + kFarewellNs};
  const auto all_heard = [&] {
    const std::lock_guard lock(mutex_);
    for (size_t rank = 0; rank < peers_.size(); ++rank) {
      if (far_[rank] && !peers_[rank].heard_all && !peers_[rank].ended) return false;
    }
    return true;
  };
  while (!failed && !all_heard() && !patience.passed()) {
    pump();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace tandem
