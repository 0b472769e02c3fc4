// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "tandem/exec/device.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/stream.h"
#include "tandem/exec/team.h"
#include "tandem/exec/topology.h"

namespace tandem {
namespace {

TEST(Team, EveryIndexRunsExactlyOnce) {
  ThreadTeam team(3);
  for (const int64_t count : {1, 2, 7, 64, 1000}) {
    for (const int64_t grain : {1, 3, 16}) {
      std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
      team.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        EXPECT_EQ(begin % grain, 0);
        for (int64_t i = begin; i < end; ++i) hits[static_cast<size_t>(i)]++;
      });
      for (const auto& hit : hits) EXPECT_EQ(hit.load(), 1);
    }
  }
}

TEST(Team, TwoCallersDoNotDisturbEachOther) {
  ThreadTeam team(3);
  std::atomic<int64_t> total{0};
  const auto caller = [&] {
    for (int round = 0; round < 200; ++round) {
      team.parallel_for(50, 1, [&](int64_t begin, int64_t end) { total += end - begin; });
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(total.load(), 2 * 200 * 50);
}

TEST(Scratch, MarksGiveBackAndBlocksStayPut) {
  Scratch scratch;
  auto* first = scratch.take_array<char>(100);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  std::memset(first, 7, 100);
  void* inside = nullptr;
  {
    Scratch::Mark mark(scratch);
    inside = scratch.take(5 << 20);
    ASSERT_NE(inside, nullptr);
  }
  EXPECT_EQ(scratch.take(5 << 20), inside);
  EXPECT_EQ(first[99], 7);
  EXPECT_EQ(scratch.take(SIZE_MAX - 10), nullptr);
}

TEST(DeviceMemory, BlocksAreAlignedSeparateAndReused) {
  auto first = device_allocate(1000);
  auto second = device_allocate(1000);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(*first) % 32, 0u);
  std::memset(*first, 1, 1000);
  std::memset(*second, 2, 1000);
  EXPECT_EQ(static_cast<char*>(*first)[999], 1);
  auto place = device_locate(static_cast<char*>(*first) + 10);
  ASSERT_TRUE(place);
  EXPECT_GE(place->descriptor, 0);
  EXPECT_TRUE(device_free(*first));
  EXPECT_FALSE(device_free(*first));
  EXPECT_FALSE(device_free(static_cast<char*>(*second) + 8));
  EXPECT_EQ(*device_allocate(900), *first);
  EXPECT_TRUE(device_free(*first));
  EXPECT_TRUE(device_free(*second));
  int local = 0;
  EXPECT_FALSE(device_locate(&local));
}

TEST(DeviceMemory, TooMuchIsAnErrorThatNamesTheSize) {
  auto block = device_allocate(size_t{1} << 50);
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().code, ErrorCode::out_of_memory);
  EXPECT_NE(block.error().message.find("11258999068"), std::string::npos) << block.error().message;
}

class StreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Stream::create(**Device::get(0));
    ASSERT_TRUE(made);
    stream_ = std::move(*made);
  }
  std::unique_ptr<Stream> stream_;
};

TEST_F(StreamTest, WorkRunsInOrderAndAsynchronously) {
  std::atomic<bool> go{false};
  std::vector<int> order;
  ASSERT_TRUE(stream_->submit([&](Lane&) -> Status {
    while (!go) std::this_thread::yield();
    order.push_back(1);
    return {};
  }));
  ASSERT_TRUE(stream_->submit([&](Lane& lane) -> Status {
    EXPECT_NE(lane.team, nullptr);
    order.push_back(2);
    return {};
  }));
  EXPECT_FALSE(stream_->idle());
  EXPECT_FALSE(stream_->synchronize_for(10).has_value());
  go = true;
  EXPECT_TRUE(stream_->synchronize());
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(StreamTest, TheFirstErrorSticksAndLaterWorkIsDropped) {
  bool ran = false;
  ASSERT_TRUE(stream_->submit([](Lane&) -> Status { return fail(ErrorCode::peer_lost, "rank 3 died"); }));
  (void)stream_->submit([&](Lane&) -> Status {
    ran = true;
    return {};
  });
  ASSERT_FALSE(stream_->synchronize());
  EXPECT_EQ(stream_->synchronize().error().message, "rank 3 died");
  EXPECT_FALSE(ran);
  EXPECT_FALSE(stream_->submit([](Lane&) -> Status { return {}; }));
}

TEST_F(StreamTest, AThrowingTaskBecomesAnError) {
  ASSERT_TRUE(stream_->submit([](Lane&) -> Status { throw std::bad_alloc(); }));
  ASSERT_FALSE(stream_->synchronize());
  EXPECT_EQ(stream_->synchronize().error().code, ErrorCode::out_of_memory);
}

TEST_F(StreamTest, EventsOrderTwoStreams) {
  auto other = Stream::create(**Device::get(1));
  ASSERT_TRUE(other);
  Event event;
  EXPECT_TRUE(event.complete());
  std::atomic<int> value{0};
  ASSERT_TRUE(stream_->submit([&](Lane&) -> Status {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    value = 1;
    return {};
  }));
  stream_->record(event);
  ASSERT_TRUE((*other)->wait(event));
  int seen = 0;
  ASSERT_TRUE((*other)->submit([&](Lane&) -> Status {
    seen = value;
    return {};
  }));
  EXPECT_TRUE((*other)->synchronize());
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(event.complete());
  EXPECT_GT(event.reached_ns(), 0);
}

TEST_F(StreamTest, ASecondRecordingOfAnEventIsWaitedFor) {
  Event event;
  std::atomic<bool> go{false};
  stream_->record(event);
  ASSERT_TRUE(stream_->submit([&](Lane&) -> Status {
    while (!go) std::this_thread::yield();
    return {};
  }));
  stream_->record(event);
  EXPECT_FALSE(event.complete());
  EXPECT_FALSE(event.synchronize(10));
  go = true;
  EXPECT_TRUE(event.synchronize(10'000));
}

TEST_F(StreamTest, AWaitConcernsTheRecordingOfItsTime) {
  auto other = Stream::create(**Device::get(1));
  ASSERT_TRUE(other);
  Event event;
  std::atomic<bool> go{false};
  ASSERT_TRUE(stream_->wait(event));  // not recorded yet: no wait
  stream_->record(event);
  ASSERT_TRUE((*other)->wait(event));
  ASSERT_TRUE((*other)->submit([&](Lane&) -> Status {
    while (!go) std::this_thread::yield();
    return {};
  }));
  (*other)->record(event);
  EXPECT_TRUE(stream_->synchronize());
  go = true;
  EXPECT_TRUE((*other)->synchronize());
}

TEST_F(StreamTest, AFailureTravelsThroughEvents) {
  auto other = Stream::create(**Device::get(1));
  ASSERT_TRUE(other);
  Event before, after;
  stream_->record(before);
  ASSERT_TRUE(stream_->submit([](Lane&) -> Status { return fail(ErrorCode::peer_lost, "rank 3 died"); }));
  stream_->record(after);
  ASSERT_TRUE((*other)->wait(before));
  EXPECT_TRUE((*other)->synchronize());
  ASSERT_TRUE((*other)->wait(after));
  const Status seen = (*other)->synchronize();
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().code, ErrorCode::peer_lost);
  EXPECT_EQ(seen.error().message, "rank 3 died");
  EXPECT_TRUE(before.fault());
  EXPECT_FALSE(after.fault());
}

TEST_F(StreamTest, AWaitMayHaveATimeout) {
  auto other = Stream::create(**Device::get(1));
  ASSERT_TRUE(other);
  Event event;
  std::atomic<bool> go{false};
  ASSERT_TRUE((*other)->submit([&](Lane&) -> Status {
    while (!go) std::this_thread::yield();
    return {};
  }));
  (*other)->record(event);
  ASSERT_TRUE(stream_->wait(event, 10));
  event.reset();  // the wait concerns the recording it saw
  const Status late = stream_->synchronize();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::timed_out);
  go = true;
  EXPECT_TRUE((*other)->synchronize());
}

TEST_F(StreamTest, DroppingEndsAWaitUnderWay) {
  auto other = Stream::create(**Device::get(1));
  ASSERT_TRUE(other);
  Event event;
  std::atomic<bool> go{false};
  ASSERT_TRUE((*other)->submit([&](Lane&) -> Status {
    while (!go) std::this_thread::yield();
    return {};
  }));
  (*other)->record(event);
  ASSERT_TRUE(stream_->wait(event));
  ASSERT_TRUE(stream_->wait(event));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  stream_->drop_pending();
  const auto status = stream_->synchronize_for(10'000);
  EXPECT_TRUE(status && *status);
  go = true;
  EXPECT_TRUE((*other)->synchronize());
}

TEST_F(StreamTest, AnAbandonedStreamIsNotWaitedFor) {
  struct Shared {
    std::atomic<bool> started{false}, go{false}, ended{false}, dropped_ran{false};
  };
  const auto shared = std::make_shared<Shared>();
  ASSERT_TRUE(stream_->submit([shared](Lane&) -> Status {
    shared->started = true;
    while (!shared->go) std::this_thread::yield();
    shared->ended = true;
    return {};
  }));
  ASSERT_TRUE(stream_->submit([shared](Lane&) -> Status {
    shared->dropped_ran = true;
    return {};
  }));
  while (!shared->started) std::this_thread::yield();
  stream_->abandon();
  EXPECT_EQ(stream_->submit([](Lane&) -> Status { return {}; }).error().code, ErrorCode::cancelled);
  Event event;
  stream_->record(event);
  EXPECT_TRUE(event.complete());
  stream_.reset();  // returns although the task runs
  EXPECT_FALSE(shared->ended);
  shared->go = true;
  while (shared.use_count() > 1) std::this_thread::yield();
  EXPECT_TRUE(shared->ended);
  EXPECT_FALSE(shared->dropped_ran);
}

TEST_F(StreamTest, AnythingThrownBecomesAnError) {
  ASSERT_TRUE(stream_->submit([](Lane&) -> Status { throw 7; }));
  EXPECT_EQ(stream_->synchronize().error().code, ErrorCode::internal);
}

// The parent has a team of threads and an arena; the child's exit must not wait for threads that it does not have.
TEST(Fork, AChildMayExitInOrder) {
  ThreadTeam team(2);
  (void)(*Device::get(0))->team();
  auto block = device_allocate(100);
  ASSERT_TRUE(block);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) std::exit(device_locate(*block) ? 1 : 7);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT_TRUE(device_free(*block));
}

TEST(Device, IndexIsChecked) {
  EXPECT_TRUE(Device::get(0));
  ASSERT_FALSE(Device::get(-1));
  EXPECT_FALSE(Device::get(Device::count()));
}

TEST(Topology, HasAtLeastOneCore) {
  EXPECT_GE(topology().usable_cores, 1);
  EXPECT_FALSE(topology().cores.empty());
}

}  // namespace
}  // namespace tandem
