// SPDX-License-Identifier: Apache-2.0
#include "roles.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "collective_run.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/wait.h"

namespace tandem::test {
namespace {

constexpr size_t kWindow = 64 * 1024;
constexpr uint32_t kSteps = 3;

void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

// "<ns> <code>: <text>": when the error was seen, on the clock all processes share.
int say_error(const Error& error) {
  say(fmt::format("{} {}: {}", monotonic_ns(), error_code_name(error.code), error.message));
  return 1;
}

Fingerprint call(int64_t rows) {
  Fingerprint fingerprint;
  std::strncpy(fingerprint.operation, "exchange", sizeof fingerprint.operation);
  fingerprint.rows = rows;
  fingerprint.n = 32;
  return fingerprint;
}

// One step: every rank writes a number into every window, waits, and checks what the others wrote.
Status step(Communicator& c, int round, uint32_t value) {
  for (int peer = 0; peer < c.size(); ++peer) {
    reinterpret_cast<int*>(c.window(peer))[c.rank()] = 1000 * round + c.rank();
  }
  c.arrive(Signal::ready, value);
  if (Status s = c.await_all(Signal::ready, value, "ready"); !s) return s;
  const int* mine = reinterpret_cast<const int*>(c.window(c.rank()));
  for (int peer = 0; peer < c.size(); ++peer) {
    if (mine[peer] != 1000 * round + peer) return fail(ErrorCode::internal, "wrong number in the window");
  }
  c.arrive(Signal::free, value);
  return c.await_all(Signal::free, value, "free");
}

Status exchange(Communicator& c, int round) {
  const auto begun = c.begin(call(round));
  if (!begun) return fail(begun.error());
  for (uint32_t i = 1; i <= kSteps; ++i) {
    if (Status s = step(c, round, c.base() + i); !s) return s;
  }
  c.advance(kSteps);
  c.end();
  return {};
}

Status exchange_times(Communicator& c, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    if (Status s = exchange(c, round); !s) return s;
  }
  return {};
}

int report(const Status& status) {
  if (!status) return say_error(status.error());
  say("ok");
  return 0;
}

// --- roles on a communicator that is there

int role_exchange(Communicator& c) { return report(exchange_times(c, 300)); }

int role_endless(Communicator& c) {
  if (Status s = exchange_times(c, 3); !s) return say_error(s.error());
  say("running");
  Status status;
  for (int round = 3; status; ++round) status = exchange(c, round % 1000);
  return say_error(status.error());
}

int role_mismatch(Communicator& c) {
  const auto begun = c.begin(call(c.rank() == 2 ? 16 : 8));
  return begun ? 0 : say_error(begun.error());
}

// The last rank leaves after some rounds, the others go on.
int role_leave(Communicator& c) {
  if (Status s = exchange_times(c, 5); !s || c.rank() == c.size() - 1) return report(s);
  return report(exchange(c, 5));
}

// The last rank ends without leaving.
int role_vanish(Communicator& c) {
  const Status s = exchange_times(c, 5);
  if (c.rank() == c.size() - 1) _exit(0);
  return s ? report(exchange(c, 5)) : say_error(s.error());
}

int role_abort(Communicator& c) {
  if (Status s = exchange(c, 0); !s) return say_error(s.error());
  if (c.rank() == 1) c.abort({ErrorCode::out_of_memory, "no scratch"});
  return report(exchange(c, 1));
}

// Every case of this number of ranks.
int role_collectives(Communicator& c) {
  OwnLane own;
  for (const CollectiveCase& one : read_collective_cases()) {
    if (one.ranks != c.size() || !runnable(one)) continue;
    for (const Memory memory : {Memory::own, Memory::device, Memory::mixed}) {
      const bool small = one.counts.empty() && one.sends.empty() && one.count < 1000;
      if (small && memory != Memory::own) continue;  // goes through the window wherever it lies
      if (const std::string text = run_case(one, c, own.lane, memory); !text.empty()) return say(text), 1;
    }
  }
  say("ok");
  return 0;
}

// One round of an operator that runs in several turns; the ring is a batch of messages.
Status round_of(const std::string& op, Communicator& c, Lane& lane) {
  static std::vector<std::byte> in(1 << 20), out(1 << 20);
  if (op != "ring") {
    CollectiveCase one{.op = op, .type = DType::i32, .ranks = c.size(), .count = 20'000};
    return call_collective(one, c, in.data(), out.data(), lane);
  }
  const int next = (c.rank() + 1) % c.size(), previous = (c.rank() + c.size() - 1) % c.size();
  const Message both[] = {{Message::Kind::send, in.data(), 20'000, DType::i32, next},
                          {Message::Kind::receive, out.data(), 20'000, DType::i32, previous}};
  return batch_send_recv(c, both, lane);
}

int role_loop(const std::string& op, Communicator& c) {
  OwnLane own;
  Status status = round_of(op, c, own.lane);
  say("running");
  while (status) status = round_of(op, c, own.lane);
  return say_error(status.error());
}

// A child of rank 0 stays alive with whatever it inherited, and must be of no help and no harm.
int role_fork(Communicator& c) {
  if (Status s = exchange(c, 0); !s) return say_error(s.error());
  const pid_t child = c.rank() == 0 ? fork() : -1;
  if (child == 0) {
    const Status health = c.health();
    const bool clear = !health && health.error().message.find("forked child") != std::string::npos;
    c.arrive(Signal::ready, 99);
    _exit(clear && !c.begin(call(1)) && c.window(1) == nullptr ? 0 : 1);
  }
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  if (status != 0) return report(fail(ErrorCode::internal, "the child could use its parent's communicator"));
  return report(exchange(c, 1));
}

// Rank 1 leaves a child behind that outlives it: the others must notice rank 1's death nevertheless.
int role_orphan(Communicator& c) {
  if (Status s = exchange(c, 0); !s) return say_error(s.error());
  if (c.rank() == 1) {
    if (fork() == 0) {
      std::fclose(stdout);
      close(STDOUT_FILENO);
      usleep(1'500'000);
      _exit(0);
    }
    say(fmt::format("{}", monotonic_ns()));
    _exit(0);
  }
  return report(exchange(c, 1));
}

// --- roles that connect themselves

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

size_t mapped_regions() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("tandem-window") != std::string::npos ? 1 : 0;
  return count;
}

int role_reconnect(const Rendezvous& rendezvous) {
  constexpr int kRounds = 1000;
  size_t before = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto made = Communicator::connect(rendezvous, kWindow);
    if (!made) return say_error(made.error());
    if (Status s = exchange(**made, round); !s) return say_error(s.error());
    made->reset();
    if (round == 0) before = open_descriptors();
  }
  say(fmt::format("descriptors {} regions {}", static_cast<long>(open_descriptors()) - static_cast<long>(before),
                  mapped_regions()));
  return 0;
}

int role_connect_only(const Rendezvous& rendezvous) {
  const auto made = Communicator::connect(rendezvous, kWindow);
  if (!made) return say_error(made.error());
  say("ok");
  return 0;
}

using ConnectedRole = int (*)(Communicator&);

ConnectedRole connected_role(const std::string& name) {
  static const std::map<std::string, ConnectedRole> roles = {
      {"exchange", role_exchange}, {"endless", role_endless}, {"mismatch", role_mismatch},
      {"leave", role_leave},       {"vanish", role_vanish},   {"abort", role_abort},
      {"fork", role_fork},         {"orphan", role_orphan},   {"collectives", role_collectives}};
  const auto found = roles.find(name);
  return found == roles.end() ? nullptr : found->second;
}

}  // namespace

int run_role(const std::string& role, int rank, int size, const std::string& address) {
  Rendezvous rendezvous{rank, size, "group", address, rank % 8, 0};
  if (role == "reconnect") return role_reconnect(rendezvous);
  if (role == "connect") return role_connect_only(rendezvous);
  constexpr std::string_view kLoop = "loop ";
  const bool loop = role.starts_with(kLoop);
  const ConnectedRole body = connected_role(role);
  if (body == nullptr && !loop) return 126;
  auto made = Communicator::connect(rendezvous, kWindow);
  if (!made) return say_error(made.error());
  return loop ? role_loop(role.substr(kLoop.size()), **made) : body(**made);
}

}  // namespace tandem::test
