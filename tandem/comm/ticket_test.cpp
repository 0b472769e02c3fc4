// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/ticket.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tandem/comm/fault.h"

namespace tandem {
namespace {

constexpr double kLong = 60;
const auto kFine = [] { return false; };

TEST(Tickets, TurnsComeInTheOrderOfTaking) {
  TicketQueue queue;
  std::vector<uint64_t> order;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    const uint64_t ticket = queue.take();
    threads.emplace_back([&queue, &order, ticket] {
      ASSERT_EQ(queue.await(ticket, kLong, kFine), TicketQueue::Outcome::up);
      order.push_back(ticket);  // the turn is the lock
      queue.end(ticket);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(order, (std::vector<uint64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(Tickets, DroppedOnesAreSkipped) {
  TicketQueue queue;
  const uint64_t first = queue.take(), second = queue.take(), third = queue.take(), fourth = queue.take();
  queue.end(third);
  queue.end(second);
  queue.end(second);
  EXPECT_EQ(queue.await(fourth, 0.03, kFine), TicketQueue::Outcome::late);
  queue.end(first);
  EXPECT_EQ(queue.await(fourth, kLong, kFine), TicketQueue::Outcome::up);
  queue.end(first);
  queue.end(99);
  EXPECT_EQ(queue.await(fourth, kLong, kFine), TicketQueue::Outcome::up);
}

TEST(Tickets, WaitEndsWhenBroken) {
  TicketQueue queue;
  queue.take();
  const uint64_t second = queue.take();
  std::atomic<bool> broken{false};
  std::thread breaker([&] { broken = true; });
  EXPECT_EQ(queue.await(second, 0, [&] { return broken.load(); }), TicketQueue::Outcome::broken);
  breaker.join();
}

TEST(Tickets, PatienceStartsAnewWithEveryTurn) {
  TicketQueue queue;
  std::vector<uint64_t> tickets;
  for (int i = 0; i < 6; ++i) tickets.push_back(queue.take());
  std::thread worker([&] {
    for (int i = 0; i < 5; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      queue.end(tickets[static_cast<size_t>(i)]);
    }
  });
  EXPECT_EQ(queue.await(tickets[5], 1.4, kFine), TicketQueue::Outcome::up);
  worker.join();
}

TEST(Faults, Grammar) {
  const auto spec = parse_fault("kill:rank=1:step=ready:count=3");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->kind, "kill");
  EXPECT_EQ(spec->rank, 1);
  EXPECT_EQ(spec->step, "ready");
  EXPECT_EQ(spec->count, 3);
  EXPECT_TRUE(parse_fault("flip:rank=0"));
  for (const char* bad : {"", "kill", ":rank=1", "kill:rank=", "kill:rank=x", "kill:rank=-1", "kill:rank=1:count=0",
                          "kill:rank=1:step=", "kill:what=1", "kill:rank=99999999999999"}) {
    EXPECT_FALSE(parse_fault(bad)) << bad;
  }
}

}  // namespace
}  // namespace tandem
