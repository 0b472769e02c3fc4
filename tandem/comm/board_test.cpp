// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/board.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>

#include "tandem/comm/fingerprint.h"
#include "tandem/comm/test_support.h"

namespace tandem {
namespace {

struct Segments {
  explicit Segments(int size) : memory(new Segment[static_cast<size_t>(size)]) {
    for (int i = 0; i < size; ++i) pointers.push_back(&memory[static_cast<size_t>(i)]);
  }
  Board board(int rank) const { return Board(rank, pointers); }
  void block(int rank, const Goal& goal) const { memory[static_cast<size_t>(rank)].blocked.goal = goal.packed(); }
  std::unique_ptr<Segment[]> memory;
  std::vector<Segment*> pointers;
};

TEST(Board, CountersAreComparedByDifference) {
  const Segments segments(2);
  const Board board = segments.board(0);
  auto& counter = segments.memory[1].counters[0].value;
  counter = 5;
  EXPECT_TRUE(board.reached({1, 0, 5}));
  EXPECT_FALSE(board.reached({1, 0, 6}));
  counter = 0xffffffff;
  EXPECT_FALSE(board.reached({1, 0, 0}));
  counter = 2;
  EXPECT_TRUE(board.reached({1, 0, 0xffffffff}));
}

TEST(Board, BlameFollowsTheChainOfWaits) {
  const Segments segments(4);
  const Board board = segments.board(0);
  const Goal goal{3, 1, 1};
  EXPECT_EQ(board.culprit_of(goal).peer, 3);
  segments.block(3, {2, 1, 1});
  segments.block(2, {1, kCalled, 1});
  EXPECT_EQ(board.culprit_of(goal).peer, 1);
  EXPECT_EQ(board.culprit_of(goal).counter, kCalled);
  // Rank 2 has what it waits for and still does not go on: then it is the one.
  segments.memory[1].counters[kCalled].value = 1;
  EXPECT_EQ(board.culprit_of(goal).peer, 2);
}

TEST(Board, BlameEndsInCyclesAndNonsense) {
  const Segments segments(3);
  const Board board = segments.board(0);
  segments.block(1, {2, 0, 1});
  segments.block(2, {1, 0, 1});
  const int culprit = board.culprit_of({1, 0, 1}).peer;
  EXPECT_TRUE(culprit == 1 || culprit == 2);
  segments.block(1, {0, 0, 1});
  EXPECT_EQ(board.culprit_of({1, 0, 1}).peer, 1);
  for (const uint64_t nonsense : {UINT64_MAX, uint64_t{1} << 48 | uint64_t{3} << 32, uint64_t{9} << 48, uint64_t{7}}) {
    segments.memory[1].blocked.goal = nonsense;
    EXPECT_EQ(board.culprit_of({1, 0, 1}).peer, 1) << nonsense;
  }
}

TEST(Board, TheFirstFailureIsEverybodys) {
  const Segments segments(3);
  EXPECT_FALSE(segments.board(0).published());
  segments.board(2).settle({ErrorCode::timed_out, 1, "rank 1 made no progress"});
  const Failure later = segments.board(0).settle({ErrorCode::peer_lost, 2, "rank 2 died"});
  EXPECT_EQ(later.culprit, 1);
  EXPECT_EQ(later.code, ErrorCode::timed_out);
  EXPECT_EQ(later.reason, "rank 1 made no progress");
  EXPECT_EQ(segments.board(1).published()->reason, "rank 1 made no progress");
}

TEST(Board, AClaimantThatDiedBeforeItWroteDoesNotHoldOthersUp) {
  const Segments segments(2);
  segments.memory[0].claim.value = 2;
  EXPECT_EQ(segments.board(0).settle({ErrorCode::peer_lost, 1, "rank 1 died"}).reason, "rank 1 died");
}

TEST(Board, HostileFailureTextsAreCutAndCleaned) {
  const Segments segments(2);
  FailureArea& area = segments.memory[1].failure;
  area.length = UINT32_MAX;
  area.culprit = 77;
  area.code = 250;
  for (auto& byte : area.text) byte = '\n';
  area.published = 1;
  const auto failure = segments.board(0).published();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->culprit, 1);
  EXPECT_EQ(failure->code, ErrorCode::peer_lost);
  EXPECT_EQ(failure->reason, "rank 1: " + std::string(kFailureTextBytes, '?'));
}

// A peer that fills its whole segment with noise changes values, never what memory is touched (run under ASan).
TEST(Board, NoiseInAPeersSegmentIsHarmless) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    const Segments segments(3);
    uint64_t words[sizeof(Segment) / 8];
    for (uint64_t& word : words) word = random();
    std::memcpy(static_cast<void*>(&segments.memory[1]), words, sizeof(Segment));
    const Board board = segments.board(0);
    const Goal open = board.culprit_of({1, 2, 7});
    EXPECT_TRUE(open.peer >= 0 && open.peer < 3 && open.counter >= 0 && open.counter < kCounters);
    board.published();
    board.publish(0, 1);
    const Fingerprint calls[] = {load_fingerprint(segments.memory[0].slots[0]),
                                 load_fingerprint(segments.memory[1].slots[0])};
    EXPECT_FALSE(compare_calls(calls).text.empty());
    segments.board(2).settle({ErrorCode::peer_lost, 1, "rank 1"});
  }
}

TEST(Fingerprints, SurviveTheSlot) {
  Fingerprint mine;
  std::memcpy(mine.operation, "exactly_twenty_four_byte", 24);
  mine.rows = -5;
  mine.n = INT64_MAX;
  mine.output = DType::f16;
  mine.local = 7;
  FingerprintSlot slot;
  store_fingerprint(slot, mine);
  const Fingerprint copy = load_fingerprint(slot);
  EXPECT_TRUE(same_call(copy, mine));
  EXPECT_EQ(copy.local, 7u);
  expect_part(describe(copy), "exactly_twenty_four_byte rows=-5 n=9223372036854775807 output=f16");
}

}  // namespace
}  // namespace tandem
