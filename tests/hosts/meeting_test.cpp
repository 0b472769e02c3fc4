// SPDX-License-Identifier: Apache-2.0
// The meeting at rank 0's TCP address: who is missing, who does not fit, and who has no business there.
#include <unistd.h>

#include <cstring>

#include "far_launch_test.h"
#include "tandem/comm/rendezvous_tcp.h"

namespace tandem::test {
namespace {

FarHello hello_of(const std::string& address, int rank, int size) {
  FarHello hello{};
  hello.hello = make_hello({rank, size, "group", address, 0, 0});
  std::strcpy(hello.host, "host X");
  hello.pid = 1;
  hello.port = 1;
  hello.window_bytes = 64 * 1024;
  return hello;
}

// A connection to rank 0, once it listens.
Descriptor knock(const std::string& address) {
  const auto place = tcp_place(address);
  for (int i = 0; i < 500; ++i) {
    Descriptor line = connect_tcp(*place, 1000);
    if (line.valid()) return line;
    usleep(20'000);
  }
  return Descriptor();
}

bool say(const Descriptor& line, const void* bytes, size_t count) {
  return send_bytes(line.get(), {static_cast<const std::byte*>(bytes), count}, Deadline::after_seconds(5));
}

TEST(Address, IsReadOrRefused) {
  EXPECT_EQ(tcp_place("tcp://a.b:17/secret/x")->host, "a.b");
  EXPECT_EQ(tcp_place("tcp://a.b:17/secret/x")->port, 17);
  EXPECT_EQ(tcp_place("tcp://[fe80::1]:65535")->host, "fe80::1");
  for (const char* bad : {"tcp://", "tcp://a", "tcp://a:", "tcp://a:0", "tcp://a:65536", "tcp://a:1x", "tcp://:1",
                          "tcp://a:-1", "tcp:/a:1", "unix"}) {
    EXPECT_FALSE(tcp_place(bad)) << bad;
  }
  EXPECT_EQ(tcp_place("tcp://a/secret").error().message.find("secret"), std::string::npos);
}

TEST(Messages, AreCheckedBeforeUse) {
  const std::string address = "tcp://a:1/x";
  FarHello hello = hello_of(address, 1, 2);
  EXPECT_TRUE(read_hello(hello, "10.0.0.1"));
  hello.window_bytes = 64 * 1024 + 1;
  EXPECT_FALSE(read_hello(hello, "10.0.0.1"));
  hello.window_bytes = uint64_t{1} << 40;
  EXPECT_FALSE(read_hello(hello, "10.0.0.1"));
  hello = hello_of(address, 1, 2);
  hello.port = 1 << 20;
  EXPECT_FALSE(read_hello(hello, "10.0.0.1"));
  FarAnswer answer{};
  EXPECT_FALSE(read_answer(answer, 2));
  answer.size = 2;
  EXPECT_FALSE(read_answer(answer, 2));  // empty chairs
  Greeting greeting{};
  greeting.hello = make_hello({1, 2, "group", address, 0, 0});
  const Hello mine = make_hello({0, 2, "group", address, 0, 0});
  EXPECT_FALSE(read_greeting(greeting, mine, 1));  // no transport
  greeting.wire_bytes = kWireAddressBytes + 1;
  EXPECT_FALSE(read_greeting(greeting, mine, 1));
  greeting.wire_bytes = 7;
  EXPECT_EQ(read_greeting(greeting, mine, 1)->size(), 7u);
  EXPECT_FALSE(read_greeting(greeting, mine, 0));
  greeting.hello.cookie[0] ^= 1;
  EXPECT_FALSE(read_greeting(greeting, mine, 1));
}

TEST(Meeting, MissingRanksAreNamedByAll) {
  const std::string address = tcp_address();
  std::vector<RankProcess> ranks;
  for (const int rank : {0, 2})
    ranks.emplace_back("connect", rank, 4, address, Environment{{"HCCL_CONNECT_TIMEOUT", "1"}});
  for (auto& rank : ranks) expect_part(rank.line(), "timed_out: connect: of 4 ranks rank 1, rank 3 did not join");
}

TEST(Meeting, WithoutRankZeroTheOthersGiveUp) {
  RankProcess guest("connect", 1, 2, tcp_address(), {{"HCCL_CONNECT_TIMEOUT", "1"}});
  expect_part(guest.line(), "timed_out: connect: rank 0 was not reached at 127.0.0.1:");
}

TEST(Meeting, ARankThatDiesBeforeAllJoinedEndsTheWait) {
  const std::string address = tcp_address();
  RankProcess host("connect", 0, 3, address, {});
  {
    const Descriptor line = knock(address);
    const FarHello hello = hello_of(address, 1, 3);
    ASSERT_TRUE(say(line, &hello, sizeof hello));
    usleep(100'000);
  }
  expect_part(host.line(), "peer_lost: connect: rank 1 (process 1 on 127.0.0.1) died before all ranks had joined");
}

TEST(Meeting, StrangersAreDroppedAndTheJobGoesOn) {
  const std::string address = tcp_address();
  RankProcess host("collectives", 0, 2, address, {{"TANDEM_LOG", "off"}});
  const Descriptor silent = knock(address), talker = knock(address), other = knock(address);
  const std::vector<std::byte> garbage(sizeof(FarHello), std::byte{'x'});
  EXPECT_TRUE(say(talker, garbage.data(), garbage.size()));
  const FarHello hello = hello_of(address + "other job", 1, 2);
  EXPECT_TRUE(say(other, &hello, sizeof hello));
  RankProcess guest("collectives", 1, 2, address, {});
  EXPECT_EQ(host.line(), "ok");
  EXPECT_EQ(guest.line(), "ok");
}

TEST(Meeting, WhatDoesNotFitEndsTheJobWithBothValues) {
  struct Misfit {
    FarHello hello;
    std::string part;
  };
  const std::string address = tcp_address();
  FarHello version = hello_of(address, 1, 3), size = hello_of(address, 1, 4), rank = hello_of(address, 7, 3);
  std::strcpy(version.hello.build, "9.9.9");
  for (const Misfit& misfit : {Misfit{version, "a rank runs version 9.9.9, rank 0 runs version "},
                               Misfit{size, "rank 1 was started for 4 ranks, rank 0 for 3"},
                               Misfit{rank, "a process joined as rank 7, 1 to 2 wanted"}}) {
    RankProcess host("connect", 0, 3, address, {}), guest("connect", 2, 3, address, {});
    const Descriptor line = knock(address);
    usleep(300'000);  // rank 2 has joined
    EXPECT_TRUE(say(line, &misfit.hello, sizeof misfit.hello));
    expect_part(host.line(), misfit.part);
    expect_part(guest.line(), misfit.part);
  }
}

}  // namespace
}  // namespace tandem::test
