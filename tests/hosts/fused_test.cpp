// SPDX-License-Identifier: Apache-2.0
// The fused operator between hosts: the bits of one host.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "launch.h"
#include "tandem/check/fused_group.h"

namespace tandem::test {
namespace {

using fused::Call;
using fused::CppGroup;
using fused::Outputs;
using fused::Problem;

std::vector<Problem> problems(int ranks) {
  std::vector<Problem> all;
  for (const int64_t m : {1, 16, 150}) {
    for (const bool replicated : {false, true}) {
      Problem p;
      p.ranks = ranks;
      p.m = m;
      p.n = 96;
      p.replicated = replicated;
      if (m == 16) p.x3 = "all";
      all.push_back(p);
    }
  }
  return all;
}

Expected<Outputs> run_here(const Problem& problem, int rank, Stream& stream, Device& device) {
  const fused::RankData data = fused::make_rank(problem, rank);
  Call call = fused::make_call(problem, data, "far group");
  auto planned = plan(call.op, device);
  if (!planned) return fail(planned.error());
  std::vector<std::byte> workspace(planned->workspace_bytes());
  if (Status s = planned->run(workspace, stream); !s) return fail(s.error());
  if (Status s = stream.synchronize(); !s) return fail(s.error());
  return std::move(call.out);
}

std::string compare(int rank, int size, Stream& stream, Device& device) {
  for (const Problem& problem : problems(size)) {
    const auto far = run_here(problem, rank, stream, device);
    if (!far) return far.error().message;
    auto group = CppGroup::make(size);
    if (!group) return group.error().message;
    const auto near = group->run(problem, fused::make_ranks(problem));
    if (!near) return near.error().message;
    if (!(*far == (*near)[static_cast<size_t>(rank)])) return "other bits than on one host: " + problem.describe();
  }
  return "ok";
}

std::string run_rank(int rank, int size, const std::string& address) {
  // A small window: several chunks.
  const auto comm = Communicator::connect({rank, size, "far group", address, rank}, 16 * 1024);
  if (!comm) return comm.error().message;
  auto device = Device::get(rank);
  auto stream = Stream::create(**device);
  if (!stream) return stream.error().message;
  return compare(rank, size, **stream, **device);
}

int free_port() {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(made, generic, length) != 0 || getsockname(made, generic, &length) != 0) return 0;
  close(made);
  return ntohs(address.sin_port);
}

TEST(FusedOnHosts, HasTheBitsOfOneHost) {
  if (TANDEM_UCX == 0) GTEST_SKIP() << "built without UCX (libucx-dev)";
  for (const std::string hosts : {"AB", "AABB", "ABC"}) {
    const std::string address = fmt::format("tcp://127.0.0.1:{}/{}", free_port(), new_address());
    std::vector<RankProcess> ranks;
    for (size_t rank = 0; rank < hosts.size(); ++rank) {
      ranks.emplace_back("fused", static_cast<int>(rank), static_cast<int>(hosts.size()), address,
                         Environment{{"UCX_TLS", "tcp"}, {"TANDEM_HOST_ID", std::string("host ") + hosts[rank]}});
    }
    for (auto& rank : ranks) EXPECT_EQ(rank.line(), "ok") << hosts;
  }
}

}  // namespace
}  // namespace tandem::test

int main(int count, char** arguments) {
  if (count == 6 && std::string(arguments[1]) == "--role") {
    std::puts(tandem::test::run_rank(std::atoi(arguments[3]), std::atoi(arguments[4]), arguments[5]).c_str());
    return 0;
  }
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
