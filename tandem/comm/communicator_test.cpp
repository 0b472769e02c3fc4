// SPDX-License-Identifier: Apache-2.0
// Thread ranks; processes are tested in tests/ranks.
#include "tandem/comm/communicator.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "tandem/comm/test_support.h"

namespace tandem {
namespace {

using Ranks = std::vector<std::shared_ptr<Communicator>>;

constexpr size_t kPage = 4096;

Ranks make_ranks(int size, std::string_view name = {}) {
  auto made = Communicator::local(size, {}, name, kPage);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : Ranks{};
}

// One thread a rank; the texts of what each returned, "" for success.
std::vector<std::string> run(const Ranks& ranks, const std::function<Status(Communicator&)>& body) {
  std::vector<std::string> results(ranks.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    threads.emplace_back([&, rank] {
      if (Status s = body(*ranks[rank]); !s) {
        results[rank] = std::string(error_code_name(s.error().code)) + ": " + s.error().message;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

Fingerprint call(const char* operation, int64_t rows, uint32_t local = 0) {
  Fingerprint fingerprint;
  std::strncpy(fingerprint.operation, operation, sizeof fingerprint.operation);
  fingerprint.rows = rows;
  fingerprint.n = 32;
  fingerprint.local = local;
  return fingerprint;
}

// Every rank writes a number into every window, and each checks what the others wrote.
Status exchange(Communicator& c, int round) {
  const auto ored = c.begin(call("exchange", round, 1u << c.rank()));
  if (!ored) return fail(ored.error());
  EXPECT_EQ(*ored, (1u << c.size()) - 1);
  for (int peer = 0; peer < c.size(); ++peer) {
    reinterpret_cast<int*>(c.window(peer))[c.rank()] = 1000 * round + c.rank();
  }
  c.arrive(Signal::ready, c.base() + 1);
  if (Status s = c.await_all(Signal::ready, c.base() + 1, "ready"); !s) return s;
  const int* mine = reinterpret_cast<int*>(c.window(c.rank()));
  for (int peer = 0; peer < c.size(); ++peer) {
    if (mine[peer] != 1000 * round + peer) return fail(ErrorCode::internal, "wrong number in the window");
  }
  c.arrive(Signal::free, c.base() + 1);
  if (Status s = c.await_all(Signal::free, c.base() + 1, "free"); !s) return s;
  c.advance(1);
  c.end();
  return {};
}

void expect_success(const std::vector<std::string>& results) {
  for (size_t rank = 0; rank < results.size(); ++rank) EXPECT_EQ(results[rank], "") << "rank " << rank;
}

TEST(Communicator, ThreadsExchangeThroughWindows) {
  for (const int size : {1, 2, 3, 4, 8}) {
    const Ranks ranks = make_ranks(size);
    ASSERT_EQ(ranks.size(), static_cast<size_t>(size));
    expect_success(run(ranks, [](Communicator& c) -> Status {
      for (int round = 0; round < 200; ++round) {
        if (Status s = exchange(c, round); !s) return s;
      }
      return {};
    }));
    EXPECT_EQ(ranks[0]->base(), 200u);
  }
}

TEST(Communicator, CountersWrapAround) {
  const Ranks ranks = make_ranks(2);
  expect_success(run(ranks, [](Communicator& c) -> Status {
    for (const uint32_t leap : {0x7fffffffu, 0x7fffffffu, 2u}) {  // ends at 0 after exactly one round
      c.advance(leap - 1);
      if (Status s = exchange(c, 1); !s) return s;
    }
    return exchange(c, 2);
  }));
  EXPECT_EQ(ranks[0]->base(), 1u);
}

TEST(Communicator, MismatchIsWordedAlikeOnAllRanks) {
  const Ranks ranks = make_ranks(4);
  const auto results = run(ranks, [](Communicator& c) -> Status {
    const auto begun = c.begin(call("mm_all_reduce", c.rank() == 2 ? 16 : 8));
    return begun ? Status{} : fail(begun.error());
  });
  for (const auto& text : results) {
    EXPECT_EQ(text, results[0]);
    expect_part(text, "mismatch: rank 2 called mm_all_reduce rows=16 n=32, rank 0 called mm_all_reduce rows=8 n=32");
  }
  EXPECT_FALSE(ranks[1]->health());
  EXPECT_FALSE(ranks[1]->begin(call("mm_all_reduce", 8)));
}

TEST(Communicator, TheMinorityIsNamedFirst) {
  const Ranks ranks = make_ranks(3);
  const auto results = run(ranks, [](Communicator& c) -> Status {
    const auto begun = c.begin(call(c.rank() == 0 ? "all_reduce" : "mm_all_reduce", 8));
    return begun ? Status{} : fail(begun.error());
  });
  for (const auto& text : results)
    expect_part(text, "rank 0 called all_reduce rows=8 n=32, rank 1 called mm_all_reduce");
}

TEST(Communicator, EveryFieldButLocalIsCompared) {
  const std::vector<std::function<void(Fingerprint&)>> changes = {
      [](Fingerprint& f) { f.n = 1; },          [](Fingerprint& f) { f.chunk_rows = 1; },
      [](Fingerprint& f) { f.wire = 1; },       [](Fingerprint& f) { f.epsilon_bits = 1; },
      [](Fingerprint& f) { f.mode = 1; },       [](Fingerprint& f) { f.output = DType::bf16; },
      [](Fingerprint& f) { f.tail = 1; },       [](Fingerprint& f) { f.reduction = 1; },
      [](Fingerprint& f) { f.reserved[2] = 1; }};
  for (const auto& change : changes) {
    const auto results = run(make_ranks(2), [&](Communicator& c) -> Status {
      Fingerprint mine = call("op", 1, static_cast<uint32_t>(c.rank()));
      if (c.rank() == 1) change(mine);
      const auto begun = c.begin(mine);
      return begun ? Status{} : fail(begun.error());
    });
    for (const auto& text : results) expect_part(text, "mismatch: rank 1 called op");
  }
}

TEST(Communicator, AbortOfOneEndsTheWaitsOfAll) {
  const Ranks ranks = make_ranks(4);
  const auto start = std::chrono::steady_clock::now();
  const auto results = run(ranks, [](Communicator& c) -> Status {
    if (Status s = exchange(c, 0); !s) return s;
    if (c.rank() == 3) {
      c.abort({ErrorCode::out_of_memory, "no scratch"});
      return c.health();
    }
    return exchange(c, 1);
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  for (int rank = 0; rank < 3; ++rank) {
    const auto& text = results[static_cast<size_t>(rank)];
    expect_part(text, "peer_lost: ");
    expect_part(text, "rank 3 aborted: no scratch");
  }
  expect_part(results[3], "out_of_memory: communicator");
  expect_part(results[3], "no scratch");
  ranks[0]->abort({ErrorCode::internal, "too late"});
  expect_part(ranks[0]->health().error().message, "rank 3 aborted");
}

TEST(Communicator, ALeavingRankIsAnErrorOnlyWhenItIsNeeded) {
  Ranks ranks = make_ranks(2);
  const auto results = run(ranks, [&](Communicator& c) -> Status {
    const auto begun = c.begin(call("op", 1));
    if (!begun) return fail(begun.error());
    c.arrive(Signal::ready, 1);
    if (c.rank() == 1) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return c.await(Signal::ready, 1, 1, "ready");
  });
  expect_success(results);
  ranks[1].reset();
  EXPECT_TRUE(ranks[0]->await(Signal::ready, 1, 1, "ready"));
  EXPECT_TRUE(ranks[0]->health());
  const Status needed = ranks[0]->await(Signal::done, 1, 1, "done");
  ASSERT_FALSE(needed);
  EXPECT_EQ(needed.error().code, ErrorCode::peer_lost);
  EXPECT_EQ(needed.error().message, "op: step done: rank 1 left the communicator");
}

TEST(Communicator, ARankThatLeavesWhileOthersWait) {
  Ranks ranks = make_ranks(3);
  std::thread leaver([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ranks[2].reset();
  });
  const Ranks waiting(ranks.begin(), ranks.begin() + 2);
  const auto results = run(waiting, [](Communicator& c) -> Status {
    const auto begun = c.begin(call("op", 1));
    return begun ? Status{} : fail(begun.error());
  });
  leaver.join();
  for (const auto& text : results) EXPECT_EQ(text, "peer_lost: op: step begin: rank 2 left the communicator");
}

TEST(Communicator, ARankWithoutProgressIsNamedByAll) {
  const ScopedEnv stall("TANDEM_STALL_S", "0.3");
  const Ranks ranks = make_ranks(4);
  // Rank 3 waits for rank 2, rank 2 for rank 1: all have to blame rank 1.
  const auto results = run(ranks, [](Communicator& c) -> Status {
    const auto begun = c.begin(call("op", 1));
    if (!begun) return fail(begun.error());
    if (c.rank() == 1) {
      while (c.health()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return c.health();
    }
    const int awaited = c.rank() == 0 ? 3 : c.rank() - 1;
    if (c.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return c.await(Signal::done, awaited, 1, "done");
  });
  for (const auto& text : results) {
    expect_part(text, "timed_out: ");
    expect_part(text, "rank 1 made no progress for");
    expect_part(text, "TANDEM_STALL_S");
  }
  expect_part(results[3], "op: step done: ");
}

TEST(Communicator, ProgressOfTheAwaitedRankRestartsTheClock) {
  const ScopedEnv stall("TANDEM_STALL_S", "0.5");
  const Ranks ranks = make_ranks(2);
  expect_success(run(ranks, [](Communicator& c) -> Status {
    const auto begun = c.begin(call("op", 1));
    if (!begun) return fail(begun.error());
    if (c.rank() == 0) return c.await(Signal::done, 1, 1, "done");
    for (uint32_t step = 1; step <= 6; ++step) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      c.arrive(Signal::ready, step);
    }
    c.arrive(Signal::done, 1);
    return {};
  }));
}

TEST(Communicator, ARankThatNeverCallsIsNamedByAll) {
  const ScopedEnv patience("HCCL_EXEC_TIMEOUT", "1");
  const ScopedEnv stall("TANDEM_STALL_S", "0.1");  // does not count for a rank outside an operator
  const Ranks ranks = make_ranks(3);
  const auto start = std::chrono::steady_clock::now();
  const auto results = run(ranks, [](Communicator& c) -> Status {
    if (c.rank() == 1) return {};
    const auto begun = c.begin(call("op", 1));
    return begun ? Status{} : fail(begun.error());
  });
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(900));
  for (const size_t rank : {0u, 2u}) {
    EXPECT_EQ(results[rank], "timed_out: op: step begin: rank 1 has not called op for 1 s (HCCL_EXEC_TIMEOUT)");
  }
}

TEST(Communicator, TurnsKeepTheOrderOfSubmission) {
  const Ranks ranks = make_ranks(2);
  std::vector<std::thread> workers;
  for (const auto& communicator : ranks) {
    std::vector<uint64_t> tickets;
    for (int i = 0; i < 4; ++i) tickets.push_back(communicator->take_ticket());
    for (int i = 3; i >= 0; --i) {
      workers.emplace_back([c = communicator, ticket = tickets[static_cast<size_t>(i)], i] {
        EXPECT_TRUE(c->await_turn(ticket));
        const Status s = exchange(*c, i);
        EXPECT_TRUE(s) << s.error().message;
        c->end_turn(ticket);
      });
    }
  }
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(ranks[0]->base(), 4u);
}

TEST(Communicator, AwaitedTurnsEndWithTheCommunicator) {
  const Ranks ranks = make_ranks(2);
  ranks[0]->take_ticket();
  const uint64_t second = ranks[0]->take_ticket();
  std::thread killer([&] { ranks[1]->abort({ErrorCode::internal, "broken"}); });
  const Status turn = ranks[0]->await_turn(second);
  killer.join();
  ASSERT_FALSE(turn);
  expect_part(turn.error().message, "rank 1 aborted: broken");
}

TEST(Communicator, ATurnThatNeverComesNamesTheOperatorBeforeIt) {
  const ScopedEnv patience("HCCL_EXEC_TIMEOUT", "1");
  const Ranks ranks = make_ranks(1);
  ranks[0]->take_ticket();
  ASSERT_TRUE(ranks[0]->begin(call("first_operator", 1)));
  const Status turn = ranks[0]->await_turn(ranks[0]->take_ticket());
  ASSERT_FALSE(turn);
  EXPECT_EQ(turn.error().code, ErrorCode::timed_out);
  expect_part(turn.error().message, "first_operator before it has not ended");
}

TEST(Communicator, IsFoundByNameAndDevice) {
  const int devices[] = {3, 1};
  auto ranks = Communicator::local(2, devices, "group of the find test", kPage);
  ASSERT_TRUE(ranks) << ranks.error().message;
  const auto found = Communicator::find("group of the find test", 1);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, (*ranks)[1]);
  EXPECT_FALSE(Communicator::find("group of the find test", 0));
  EXPECT_FALSE(Communicator::find("another", 1));
  const Ranks newer = make_ranks(4, "group of the find test");
  EXPECT_EQ(*Communicator::find("group of the find test", 1), newer[1]);
  EXPECT_EQ((*ranks)[0]->name().size(), std::strlen("group of the find test"));
}

TEST(Communicator, IsForgottenWhenDestroyed) {
  make_ranks(2, "short-lived");
  const auto found = Communicator::find("short-lived", 0);
  ASSERT_FALSE(found);
  expect_part(found.error().message, "no group 'short-lived' on device 0");
}

// Whoever still holds it: unknown at once, its turns end in order, then the peers learn that it left.
TEST(Communicator, IsRetiredWhileItIsStillHeld) {
  auto ranks = make_ranks(2, "retired");
  Communicator& mine = *ranks[1];
  const uint64_t before = mine.take_ticket();
  mine.retire();
  EXPECT_FALSE(Communicator::find("retired", 1));
  EXPECT_TRUE(Communicator::find("retired", 0));
  const uint64_t after = mine.take_ticket();
  const Status refused = mine.await_turn(after);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::cancelled);
  mine.end_turn(after);
  ASSERT_TRUE(mine.await_turn(before));
  for (const auto& text : run(ranks, [](Communicator& c) { return exchange(c, 1); })) EXPECT_EQ(text, "");
  std::thread last([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    mine.end_turn(before);
  });
  const auto alone = ranks[0]->begin(call("alone", 1));
  last.join();
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().code, ErrorCode::peer_lost);
  expect_part(alone.error().message, "rank 1 left");
}

TEST(Communicator, DefaultNamesAreDistinctAndShort) {
  const Ranks a = make_ranks(2), b = make_ranks(2);
  EXPECT_NE(a[0]->name(), b[0]->name());
  EXPECT_EQ(a[0]->name(), a[1]->name());
  EXPECT_LT(a[0]->name().size(), 128u);
  expect_part(a[1]->describe(), "rank 1 of 2 on device 1, threads, window 4 KiB");
}

TEST(Communicator, RefusesBadArguments) {
  const int one[] = {0};
  const int none[] = {0, 99999};
  EXPECT_FALSE(Communicator::local(0));
  EXPECT_FALSE(Communicator::local(65));
  EXPECT_FALSE(Communicator::local(2, one));
  EXPECT_FALSE(Communicator::local(2, none));
  EXPECT_FALSE(Communicator::local(1, {}, std::string(128, 'x')));
  EXPECT_FALSE(Communicator::local(1, {}, std::string_view("a\0b", 3)));
  EXPECT_FALSE(Communicator::connect({.rank = 2, .size = 2, .address = "x"}));
  EXPECT_FALSE(Communicator::connect({.rank = 0, .size = 2}));
  const Ranks ranks = make_ranks(2);
  EXPECT_FALSE(ranks[0]->await(Signal::ready, 2, 1, "bad"));
  EXPECT_FALSE(ranks[0]->await(Signal::ready, -1, 1, "bad"));
}

TEST(Communicator, SeveralOnOneDeviceAreIndependent) {
  const Ranks a = make_ranks(2), b = make_ranks(2);
  a[0]->abort({ErrorCode::internal, "only this one"});
  EXPECT_FALSE(a[1]->health());
  expect_success(run(b, [](Communicator& c) { return exchange(c, 5); }));
}

TEST(Communicator, AForkedChildGetsAClearError) {
  const Ranks ranks = make_ranks(2, "forked");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Status health = ranks[0]->health();
    const bool clear =
        !health && health.error().message.find("a forked child has to make its own") != std::string::npos;
    const bool refused = !ranks[0]->begin(call("op", 1)) && !ranks[0]->await_all(Signal::ready, 1, "x") &&
                         !ranks[0]->await_turn(0) && !Communicator::find("forked", 0);
    ranks[0]->arrive(Signal::ready, 1);
    ranks[0]->abort({ErrorCode::internal, "child"});
    _exit(clear && refused && ranks[0]->window(0) == nullptr ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expect_success(run(ranks, [](Communicator& c) { return exchange(c, 1); }));
}

}  // namespace
}  // namespace tandem
