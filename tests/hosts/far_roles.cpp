// SPDX-License-Identifier: Apache-2.0
#include "far_roles.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>

#include "collective_run.h"
#include "roles.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/wait.h"

namespace tandem::test {
namespace {

int say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
  return text == "ok" ? 0 : 1;
}

int report(const Status& status) {
  if (status) return say("ok");
  return say(fmt::format("{} {}: {}", monotonic_ns(), error_code_name(status.error().code), status.error().message));
}

Status gather(Communicator& c, int64_t count, Lane& lane) {
  std::vector<int32_t> in(static_cast<size_t>(count), c.rank()), out(in.size() * static_cast<size_t>(c.size()));
  if (Status s = all_gather(c, in.data(), out.data(), count, DType::i32, lane); !s) return s;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] != static_cast<int32_t>(i / in.size())) return fail(ErrorCode::internal, "wrong number");
  }
  return {};
}

Status gather_times(Communicator& c, int rounds, int64_t count, Lane& lane) {
  for (int round = 0; round < rounds; ++round) {
    if (Status s = gather(c, count, lane); !s) return s;
  }
  return {};
}

// The last rank leaves after some rounds, the others go on.
Status role_leave(Communicator& c, Lane& lane) {
  const Status s = gather_times(c, 5, 1000, lane);
  return !s || c.rank() == c.size() - 1 ? s : gather(c, 1000, lane);
}

// The root is gone at once; all it sent arrives.
Status role_give_and_go(Communicator& c, Lane& lane) {
  std::vector<int32_t> data(3'000'000, c.rank() == 0 ? 7 : 0);
  if (c.rank() != 0) usleep(static_cast<useconds_t>(100'000 * c.rank()));
  if (Status s = broadcast(c, data.data(), static_cast<int64_t>(data.size()), DType::i32, 0, lane); !s) return s;
  for (const int32_t value : data) {
    if (value != 7) return fail(ErrorCode::internal, "wrong number");
  }
  return {};
}

Status role_mismatch(Communicator& c, Lane& lane) { return gather(c, c.rank() == 1 ? 9 : 8, lane); }

// Longer between two calls than a rank inside one may take.
Status role_idle(Communicator& c, Lane& lane) {
  if (Status s = gather(c, 100, lane); !s) return s;
  if (c.rank() == 1) usleep(2'500'000);
  return gather(c, 100, lane);
}

Status role_abort(Communicator& c, Lane& lane) {
  if (Status s = gather(c, 100, lane); !s) return s;
  if (c.rank() == 1) c.abort({ErrorCode::out_of_memory, "no scratch"});
  return gather(c, 100, lane);
}

// A ring of messages, then one pair alone, then sizes that differ.
Status role_messages(Communicator& c, Lane& lane) {
  const int next = (c.rank() + 1) % c.size(), previous = (c.rank() + c.size() - 1) % c.size();
  for (const int64_t count : {0, 1, 5000, 400'000}) {
    std::vector<int32_t> in(static_cast<size_t>(count) + 1, c.rank()), out(in.size(), -1);
    const Message both[] = {{Message::Kind::send, in.data(), count, DType::i32, next},
                            {Message::Kind::receive, out.data(), count, DType::i32, previous}};
    if (Status s = batch_send_recv(c, both, lane); !s) return s;
    for (int64_t i = 0; i < count; ++i) {
      if (out[static_cast<size_t>(i)] != previous) return fail(ErrorCode::internal, "wrong number");
    }
    if (out.back() != -1) return fail(ErrorCode::internal, "written behind the end");
  }
  std::vector<int32_t> one(70'000, c.rank());
  if (c.rank() == 0) return send(c, one.data(), 70'000, DType::i32, c.size() - 1, lane);
  if (c.rank() != c.size() - 1) return {};
  if (Status s = recv(c, one.data(), 70'000, DType::i32, 0, lane); !s) return s;
  return one.back() == 0 ? Status{} : fail(ErrorCode::internal, "wrong number");
}

// Two groups at once, which meet at one port where their first ranks share a host.
Status role_split(Communicator& c, Lane& lane) {
  std::vector<int> ranks;
  for (int rank = c.rank() % 2; rank < c.size(); rank += 2) ranks.push_back(rank);
  const auto part = c.split(ranks, 7 + static_cast<uint64_t>(c.rank() % 2));
  if (!part) return fail(part.error());
  if (Status s = gather_times(**part, 3, 1000, lane); !s) return s;
  return gather(c, 100, lane);
}

// A child stays alive with whatever it inherited, and must be of no help and no harm.
Status role_fork(Communicator& c, Lane& lane) {
  if (Status s = gather(c, 100, lane); !s) return s;
  const pid_t child = c.rank() == 0 ? fork() : -1;
  if (child == 0) {
    const Status health = c.health();
    _exit(!health && health.error().message.find("forked child") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  if (status != 0) return fail(ErrorCode::internal, "the child could use its parent's communicator");
  return gather(c, 100, lane);
}

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// Many communicators one after the other at one address.
int role_reconnect(const Rendezvous& rendezvous) {
  OwnLane own;
  size_t before = 0;
  for (int round = 0; round < 20; ++round) {
    auto made = Communicator::connect(rendezvous, 64 * 1024);
    if (!made) return report(fail(made.error()));
    if (Status s = gather(**made, 1000, own.lane); !s) return report(s);
    made->reset();
    if (round == 2) before = open_descriptors();
  }
  const size_t after = open_descriptors();
  return after <= before ? say("ok") : say(fmt::format("{} descriptors, {} before", after, before));
}

using Role = Status (*)(Communicator&, Lane&);

}  // namespace

int run_far_role(const std::string& role, int rank, int size, const std::string& address) {
  static const std::map<std::string, Role> roles = {
      {"leave", role_leave}, {"give_and_go", role_give_and_go}, {"mismatch", role_mismatch}, {"idle", role_idle},
      {"abort", role_abort}, {"messages", role_messages},       {"fork", role_fork},         {"split", role_split}};
  const Rendezvous rendezvous{rank, size, "group", address, 0, 0};
  if (role == "reconnect") return role_reconnect(rendezvous);
  const auto found = roles.find(role);
  if (found == roles.end()) return run_role(role, rank, size, address);
  OwnLane own;
  auto made = Communicator::connect(rendezvous, 64 * 1024);
  if (!made) return report(fail(made.error()));
  return report(found->second(**made, own.lane));
}

}  // namespace tandem::test
