// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/communicator_impl.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tandem/comm/fault.h"
#include "tandem/comm/fingerprint.h"
#include "tandem/comm/signal_report.h"
#include "tandem/exec/trace.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

constexpr int64_t kBusyNs = 50'000;  // spinning and yielding before a rank says that it sleeps
constexpr int64_t kLongNs = 200'000'000;
constexpr int kLooks = 64;           // before the first pause: most waits between busy cores end within them

std::vector<Segment*> pointers(const std::vector<std::shared_ptr<SegmentMap>>& maps) {
  std::vector<Segment*> result;
  for (const auto& map : maps) result.push_back(map->segment());
  return result;
}

// While it lives, peers know what this rank waits for, and wake it.
class Asleep {
 public:
  Asleep(const Board& board, const Goal& goal) : board_(board) { board_.say_blocked(goal); }
  ~Asleep() { board_.say_awake(); }
  Asleep(const Asleep&) = delete;
  Asleep& operator=(const Asleep&) = delete;

 private:
  const Board& board_;
};

}  // namespace

Communicator::Impl::Impl(Communicator& its_owner, CommunicatorParts parts)
    : owner(its_owner),
      segments(std::move(parts.segments)),
      pids(std::move(parts.pids)),
      address(std::move(parts.address)),
      hosts(std::move(parts.hosts)),
      board(parts.rank, pointers(segments)),
      device(parts.resource),
      limits(wait_limits_from_env()),
      announced(segments.size()),
      arenas(parts.rank, pids),
      sent(segments.size()),
      taken(segments.size()),
      gone(segments.size()),
      creator(getpid()),
      bridge(std::move(parts.bridge)) {
  if (parts.call_s >= 0) limits.call_s = parts.call_s;
  flight.open(parts.rank, its_owner.name(), pids, pointers(segments));
  if (bridge) board.relay_through(bridge.get(), parts.leader);
  enlist();
}

Communicator::Impl::~Impl() {
  unlist();
  if (!foreign()) {
    flight.close();
    board.mark_left();
  }
  if (bridge && !foreign()) bridge->leave(failed.load());
  watcher.reset();
  bridge.reset();
}

std::shared_ptr<Communicator> Communicator::Impl::make(CommunicatorParts parts) {
  const int size = static_cast<int>(parts.segments.size());
  offer_report_on_signal();
  std::shared_ptr<Communicator> made(new Communicator(parts.rank, size, parts.device, parts.name));
  made->window_bytes_ = parts.segments[0]->window_bytes();
  for (const auto& map : parts.segments) {
    made->windows_.push_back(map->window());
    made->window_bytes_ = std::min(made->window_bytes_, map->window_bytes());
  }
  made->several_hosts_ = parts.bridge != nullptr;
  made->ranks_per_host_ = made->several_hosts_ ? parts.ranks_per_host : 0;
  made->impl_ = std::make_unique<Impl>(*made, std::move(parts));
  return made;
}

void Communicator::Impl::abandon() noexcept {
  std::fill(owner.windows_.begin(), owner.windows_.end(), nullptr);
  arenas.abandon();
  if (watcher) watcher->abandon();
  if (bridge) bridge->abandon();
}

Status Communicator::Impl::usable() const {
  if (foreign()) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("communicator {} belongs to process {}; a forked child has to make its own", owner.name_, creator));
  }
  if (!failed.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(mutex);
  const bool mine = own_error && root->culprit == board.rank();
  const Error error = mine ? *own_error : Error{root->code, root->reason};
  return fail(error.code, fmt::format("communicator {} is dead: {}", owner.name_, error.message));
}

bool Communicator::Impl::tells(std::string_view step) const {
  const FaultAct act = fault_point(step, board.rank());
  if (act == FaultAct::corrupt) {
    const SegmentMap& own = *segments[static_cast<size_t>(board.rank())];
    board.scribble(own.window_bytes() + own.outbox_bytes());
  }
  return act != FaultAct::drop;
}

void Communicator::Impl::leave_when_done() {
  if (tickets.done() && !board.left(board.rank())) board.mark_left();
}

std::optional<Failure> Communicator::Impl::failure() const {
  if (!failed.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex);
  return root;
}

Failure Communicator::Impl::die(const Failure& reason) {
  const std::lock_guard lock(mutex);
  if (root) return *root;
  root = board.settle(reason);
  failed.store(true, std::memory_order_release);
  board.ring(board.rank());
  return *root;
}

void Communicator::Impl::peer_ended(int rank) {
  gone[static_cast<size_t>(rank)].store(true);
  if (board.left(rank)) {
    board.ring(board.rank());
    return;
  }
  const int pid = pids[static_cast<size_t>(rank)];
  die({ErrorCode::peer_lost, rank, fmt::format("rank {} (process {}) died", rank, pid)});
}

Error Communicator::Impl::in_context(const Failure& cause, std::string_view step) const {
  // A mismatch is worded alike on all ranks, although each called something else.
  if (cause.code == ErrorCode::mismatch) return {cause.code, cause.reason};
  return {cause.code, fmt::format("{}: step {}: {}", operation_name(), step, cause.reason)};
}

Status Communicator::Impl::enter(std::string_view name) {
  if (foreign()) return usable();
  set_operation(name);
  const Status s = owner.health();
  if (s) return {};
  return fail(s.error().code, fmt::format("{}: step begin: {}", operation_name(), s.error().message));
}

// Another thread that waits for its turn may ask for the name: words, so that it reads no torn text.
void Communicator::Impl::set_operation(std::string_view name) {
  uint64_t words[kNameWords] = {};
  std::memcpy(words, name.data(), std::min(name.size(), sizeof words));
  for (size_t i = 0; i < kNameWords; ++i) operation[i].store(words[i], std::memory_order_relaxed);
}

std::string Communicator::Impl::operation_name() const {
  uint64_t words[kNameWords];
  for (size_t i = 0; i < kNameWords; ++i) words[i] = operation[i].load(std::memory_order_relaxed);
  char text[sizeof words];
  std::memcpy(text, words, sizeof text);
  const size_t length = strnlen(text, sizeof text);
  return length == 0 ? "no operator" : std::string(text, length);
}

std::optional<Failure> Communicator::Impl::hopeless(const Goal& goal, const Ready& ready) {
  if (auto known = failure()) return known;
  if (auto theirs = board.published()) return die(*theirs);
  // What a rank published before it left still counts: look at the goal once more after seeing that it left.
  if (!board.left(goal.peer) || ready()) return std::nullopt;
  return die({ErrorCode::peer_lost, goal.peer, fmt::format("rank {} left the communicator", goal.peer)});
}

Status Communicator::Impl::wait_for(const Goal& goal, std::string_view step) {
  if (board.reached(goal)) return {};
  return wait_for(goal, step, [this, &goal] { return board.reached(goal); });
}

Status Communicator::Impl::wait_for(const Goal& goal, std::string_view step, const Ready& ready) {
  const TraceSpan span(TraceKind::wait, step, board.rank(), goal.peer);
  if (bridge) return wait_pumping(goal, step, ready);
  const int looks = policy == WaitPolicy::own_core ? kLooks : 1;
  for (int i = 0; i < looks; ++i) {
    if (ready()) return {};
  }
  const Deadline busy{monotonic_ns() + kBusyNs};
  if (wait_until(board.own().bell.value, policy, busy, ready)) return {};
  return sleep_for(goal, step, ready);
}

Status Communicator::Impl::listen_to_hosts() {
  return bridge->start({[this](const Failure& failure) { die(failure); }, [this] { board.ring(board.rank()); }});
}

Status Communicator::Impl::wait_pumping(const Goal& goal, std::string_view step, const Ready& ready) {
  const Ready pumped = [&] {
    bridge->pump();
    return ready();
  };
  const Deadline busy{monotonic_ns() + kBusyNs};
  if (wait_until(board.own().bell.value, policy, busy, pumped)) return {};
  return sleep_for(goal, step, pumped);
}

void Communicator::Impl::nap(const std::atomic<uint32_t>& bell, uint32_t seen) {
  if (!bridge || bridge->rest()) futex_sleep(bell, seen);
}

// A failure shows in the next wait.
void Communicator::Impl::hand_over() {
  const int slowest = bridge->unsent();
  if (slowest < 0) return;
  static_cast<void>(wait_for({slowest, kAnyPair, 0}, "handing over to other hosts",
                             [this] { return bridge->unsent() < 0; }));
}

Status Communicator::Impl::sleep_for(const Goal& goal, std::string_view step, const Ready& ready) {
  const std::string name = operation_name();
  const auto& bell = board.own().bell.value;
  const Asleep asleep(board, goal);
  // Whom this rank waits for matters to ranks of other hosts once it takes long.
  const Deadline curious{monotonic_ns() + kLongNs};
  bool told = !bridge;
  StallClock clock(board, goal, limits, pids, name);
  while (true) {
    const uint32_t seen = bell.load(std::memory_order_seq_cst);
    if (ready()) return {};
    if (const auto cause = hopeless(goal, ready)) return fail(in_context(*cause, step));
    if (const auto late = clock.check()) return fail(in_context(die(*late), step));
    if (!told && curious.passed()) {
      bridge->tell_state();
      told = true;
    }
    nap(bell, seen);
  }
}

Expected<uint32_t> Communicator::Impl::announce(const Fingerprint& mine, std::optional<uint32_t> ready) {
  ++sequence;
  announced[static_cast<size_t>(board.rank())] = mine.local;
  flight.begin(mine, sequence);
  if (board.size() == 1) return mine.local;
  Segment& own = board.own();
  const size_t slot = sequence % 2;
  const uint64_t digest = digest_of(mine);
  policy = device->oversubscribed() ? WaitPolicy::oversubscribed : WaitPolicy::own_core;
  own.progress.inside.store(1, std::memory_order_release);
  store_fingerprint(own.slots[slot], mine);
  own.counters[kCalled].digest[slot].store(digest, std::memory_order_relaxed);
  own.counters[kCalled].local[slot].store(mine.local, std::memory_order_relaxed);
  const bool told = tells("begin");
  if (ready && tells("ready")) board.note(static_cast<int>(Signal::ready), *ready);
  if (told) board.publish(kCalled, sequence);
  return compare_with_peers(mine, digest);
}

// Two slots suffice: a rank writes the slot of operator s + 2 only after begin(s + 1) returned to it, so after every
// peer had published s + 1, and a peer publishes s + 1 only after its own begin(s) had read all slots of s.
Expected<uint32_t> Communicator::Impl::compare_with_peers(const Fingerprint& mine, uint64_t digest) {
  uint32_t local = mine.local;
  bool same = true;
  for (int peer = 0; peer < board.size(); ++peer) {
    if (peer == board.rank()) continue;
    if (Status s = wait_for({peer, kCalled, sequence}, "begin"); !s) return fail(s.error());
    const CounterLine& called = board.of(peer).counters[kCalled];
    const uint32_t theirs = called.local[sequence % 2].load(std::memory_order_relaxed);
    announced[static_cast<size_t>(peer)] = theirs;
    local |= theirs;
    same = same && called.digest[sequence % 2].load(std::memory_order_relaxed) == digest;
  }
  if (same) return local;
  return fail(in_context(die(name_difference(mine)), "begin"));
}

Failure Communicator::Impl::name_difference(const Fingerprint& mine) {
  std::vector<Fingerprint> calls;
  for (int rank = 0; rank < board.size(); ++rank) {
    calls.push_back(rank == board.rank() ? mine : load_fingerprint(board.of(rank).slots[sequence % 2]));
  }
  const Disagreement difference = compare_calls(calls);
  if (difference.culprit >= 0) return {ErrorCode::mismatch, difference.culprit, difference.text};
  return {ErrorCode::mismatch, board.rank(),
          fmt::format("rank {} read a call that was changed meanwhile", board.rank())};
}

}  // namespace tandem
