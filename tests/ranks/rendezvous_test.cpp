// SPDX-License-Identifier: Apache-2.0
// How ranks find each other, and who is kept out.
#include "tandem/comm/rendezvous.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>

#include "launch.h"
#include "tandem/comm/socket.h"

namespace tandem::test {
namespace {

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in '" << text << "'";
}

// A connection to rank 0, which may just be starting.
Descriptor knock(const std::string& address) {
  Descriptor socket;
  for (int i = 0; i < 2000 && !socket.valid(); ++i) {
    socket = connect_abstract(socket_name(address));
    if (!socket.valid()) usleep(5'000);
  }
  EXPECT_TRUE(socket.valid());
  return socket;
}

bool send_hello(const Descriptor& socket, const Hello& hello, std::span<const int> descriptors = {}) {
  return send_packet(socket.get(), std::as_bytes(std::span(&hello, 1)), descriptors);
}

Hello hello_of(const std::string& address, int rank, int size) {
  return make_hello({.rank = rank, .size = size, .name = "group", .address = address});
}

// Waits until rank 0 hangs up.
bool hung_up(const Descriptor& socket) {
  std::byte buffer[sizeof(Answer)];
  return readable(socket.get(), 20'000) && receive_packet(socket.get(), buffer, 4).packet.bytes == 0;
}

TEST(Rendezvous, GarbageIsDroppedAndTheJobGoesOn) {
  const std::string address = new_address();
  RankProcess host("exchange", 0, 2, address, {{"TANDEM_LOG", "off"}});
  std::mt19937 random(3);
  for (const size_t size : {1u, 79u, 80u, 200u, 4096u, 100'000u}) {
    std::vector<std::byte> noise(size);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
    const Descriptor socket = knock(address);
    EXPECT_TRUE(send_packet(socket.get(), noise, {}));
    EXPECT_TRUE(hung_up(socket)) << size;
  }
  const Descriptor silent = knock(address);
  knock(address).close();
  RankProcess guest("exchange", 1, 2, address, {});
  EXPECT_EQ(host.line(), "ok");
  EXPECT_EQ(guest.line(), "ok");
}

TEST(Rendezvous, AWrongCookieOrMagicIsDropped) {
  const std::string address = new_address();
  RankProcess host("exchange", 0, 2, address, {{"TANDEM_LOG", "off"}});
  Hello stranger = hello_of(address, 1, 2);
  stranger.cookie[1] ^= 1;
  const Descriptor first = knock(address);
  EXPECT_TRUE(send_hello(first, stranger));
  EXPECT_TRUE(hung_up(first));
  stranger = hello_of(address, 1, 2);
  stranger.magic[7] ^= 1;
  const Descriptor second = knock(address);
  const int some[] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
  EXPECT_TRUE(send_hello(second, stranger, some));
  EXPECT_TRUE(hung_up(second));
  RankProcess guest("exchange", 1, 2, address, {});
  EXPECT_EQ(host.line(), "ok");
  EXPECT_EQ(guest.line(), "ok");
}

TEST(Rendezvous, AnotherVersionIsRefusedWithBothPrinted) {
  const std::string address = new_address();
  RankProcess host("connect", 0, 3, address, {});
  Hello other = hello_of(address, 1, 3);
  std::strcpy(other.build, "99.0.1");
  const Descriptor socket = knock(address);
  EXPECT_TRUE(send_hello(socket, other));
  const std::string text = host.line();
  expect_part(text, "mismatch: connect: a rank runs version 99.0.1, rank 0 runs version ");
  Answer answer{};
  ASSERT_TRUE(readable(socket.get(), 20'000));
  receive_packet(socket.get(), std::as_writable_bytes(std::span(&answer, 1)), 4);
  expect_part(answer.text, "version 99.0.1");
}

TEST(Rendezvous, AHelloOfAnotherLengthIsAnotherVersion) {
  const std::string address = new_address();
  RankProcess host("connect", 0, 2, address, {});
  const Hello other = hello_of(address, 1, 2);
  const Descriptor socket = knock(address);
  EXPECT_TRUE(send_packet(socket.get(), std::as_bytes(std::span(&other, 1)).first(100), {}));
  expect_part(host.line(), "the same build is wanted");
}

TEST(Rendezvous, AnotherSizeIsRefusedOnBothSides) {
  const std::string address = new_address();
  RankProcess host("connect", 0, 2, address, {});
  RankProcess guest("connect", 1, 3, address, {});
  for (RankProcess* rank : {&host, &guest}) expect_part(rank->line(), "rank 1 was started for 3 ranks, rank 0 for 2");
}

TEST(Rendezvous, ARankOutOfRangeOrWithoutDescriptorsEndsTheJob) {
  for (const int rank : {0, 2, -1, INT32_MAX}) {
    const std::string address = new_address();
    RankProcess host("connect", 0, 2, address, {});
    const Descriptor socket = knock(address);
    EXPECT_TRUE(send_hello(socket, hello_of(address, rank, 2)));
    expect_part(host.line(), "joined as rank " + std::to_string(rank));
  }
  const std::string address = new_address();
  RankProcess host("connect", 0, 2, address, {});
  EXPECT_TRUE(send_hello(knock(address), hello_of(address, 1, 2)));
  expect_part(host.line(), "rank 1 passed 0 descriptors, 2 wanted");
}

TEST(Rendezvous, DescriptorsThatAreNoSegmentAreRefused) {
  const std::string address = new_address();
  RankProcess host("connect", 0, 2, address, {});
  const Descriptor socket = knock(address);
  const int wrong[] = {STDIN_FILENO, STDIN_FILENO};
  EXPECT_TRUE(send_hello(socket, hello_of(address, 1, 2), wrong));
  const std::string text = host.line();
  expect_part(text, "malformed: connect: ");
  expect_part(text, "rank 1");
}

TEST(Rendezvous, ASecondProcessOfOneRankIsRefusedAlone) {
  const std::string address = new_address();
  std::vector<RankProcess> ranks;
  for (const int rank : {0, 1, 1}) ranks.emplace_back("exchange", rank, 3, address, Environment{{"TANDEM_LOG", "off"}});
  // One of the two is refused, whichever came second; then the job is completed.
  usleep(300'000);
  ranks.emplace_back("exchange", 2, 3, address, Environment{});
  EXPECT_EQ(ranks[0].line(), "ok");
  EXPECT_EQ(ranks[3].line(), "ok");
  const std::string a = ranks[1].line(), b = ranks[2].line();
  EXPECT_TRUE((a == "ok") != (b == "ok")) << a << " / " << b;
  expect_part(a + b, "rank 1 has already joined");
}

TEST(Rendezvous, MissingRanksAreNamedByAll) {
  const std::string address = new_address();
  std::vector<RankProcess> ranks;
  for (const int rank : {0, 2})
    ranks.emplace_back("connect", rank, 4, address, Environment{{"HCCL_CONNECT_TIMEOUT", "1"}});
  for (auto& rank : ranks) {
    const std::string text = rank.line();
    expect_part(text, "timed_out: connect: of 4 ranks rank 1, rank 3 did not join");
  }
}

TEST(Rendezvous, WithoutRankZeroTheOthersGiveUp) {
  RankProcess guest("connect", 1, 2, new_address(), {{"HCCL_CONNECT_TIMEOUT", "1"}});
  expect_part(guest.line(), "timed_out: connect: rank 0 was not reached in time");
}

TEST(Rendezvous, ARankThatDiesBeforeAllJoinedEndsTheWait) {
  const std::string address = new_address();
  RankProcess host("connect", 0, 3, address, {});
  {
    const Descriptor socket = knock(address);
    const int some[] = {STDIN_FILENO, STDIN_FILENO};
    EXPECT_TRUE(send_hello(socket, hello_of(address, 1, 3), some));
  }
  expect_part(host.line(), "peer_lost: connect: rank 1 (process ");
}

TEST(Rendezvous, DeathOfRankZeroEndsTheWait) {
  const std::string address = new_address();
  RankProcess host("connect", 0, 3, address, {});
  RankProcess guest("connect", 1, 3, address, {});
  knock(address).close();
  usleep(200'000);
  host.signal(SIGKILL);
  const std::string text = guest.line();
  EXPECT_TRUE(text.find("rank 0 ") != std::string::npos && text != "ok") << text;
}

TEST(Rendezvous, AnotherUserIsDropped) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const std::string address = new_address();
  RankProcess host("exchange", 0, 2, address, {{"TANDEM_LOG", "off"}});
  const std::string name = socket_name(address);
  const Hello hello = hello_of(address, 1, 2);
  knock(address).close();
  const pid_t intruder = fork();
  if (intruder == 0) {
    constexpr uid_t kNobody = 65534;
    const bool changed = setresuid(kNobody, kNobody, kNobody) == 0;
    const Descriptor socket = connect_abstract(name);
    _exit(changed && socket.valid() && (!send_hello(socket, hello) || hung_up(socket)) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(intruder, &status, 0), intruder);
  EXPECT_EQ(status, 0);
  RankProcess guest("exchange", 1, 2, address, {});
  EXPECT_EQ(host.line(), "ok");
  EXPECT_EQ(guest.line(), "ok");
}

TEST(Rendezvous, TwoJobsAtOnceDoNotMeet) {
  auto a = launch("exchange", 3, new_address());
  auto b = launch("exchange", 3, new_address());
  for (auto* job : {&a, &b}) {
    for (auto& rank : *job) EXPECT_EQ(rank.line(), "ok");
  }
}

}  // namespace
}  // namespace tandem::test
