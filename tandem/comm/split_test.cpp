// SPDX-License-Identifier: Apache-2.0
// Communicators made from others, ranks as threads; tests of the HCCL interface make them between processes.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tandem/comm/communicator.h"
#include "tandem/comm/test_support.h"

namespace tandem {
namespace {

using Shared = std::shared_ptr<Communicator>;
constexpr size_t kPage = 4096;

std::vector<Shared> make_ranks(int size) {
  auto made = Communicator::local(size, {}, {}, kPage);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : std::vector<Shared>{};
}

// One thread for each of `callers`; the text of what each returned, "" for success.
std::vector<std::string> run(const std::vector<Shared>& ranks, const std::vector<int>& callers,
                             const std::function<Status(Communicator&)>& body) {
  std::vector<std::string> results(ranks.size());
  std::vector<std::thread> threads;
  for (const int rank : callers) {
    threads.emplace_back([&, rank] {
      const auto at = static_cast<size_t>(rank);
      if (Status s = body(*ranks[at]); !s) results[at] = s.error().message;
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

// An operator in which every rank shows one bit.
Status show_bits(Communicator& comm) {
  Fingerprint mine;
  std::strcpy(mine.operation, "show_bits");
  mine.local = 1u << comm.rank();
  const auto ored = comm.begin(mine);
  if (!ored) return fail(ored.error());
  comm.end();
  if (*ored == (1u << comm.size()) - 1) return {};
  return fail(ErrorCode::internal, "not the bits of all ranks");
}

// In `parent`: the ranks of `list` make a communicator and use it; `list` gives each its place.
Status split_and_use(const Communicator& parent, const std::vector<int>& list, uint64_t id) {
  const auto made = parent.split(list, id, {}, kPage);
  if (!made) return fail(made.error());
  EXPECT_EQ((*made)->size(), static_cast<int>(list.size()));
  EXPECT_EQ(list[static_cast<size_t>((*made)->rank())], parent.rank());
  EXPECT_EQ((*made)->device(), parent.device());
  EXPECT_EQ((*made)->name(), parent.name() + "_sub_" + std::to_string(id));
  EXPECT_EQ(Communicator::find((*made)->name(), parent.device()).value_or(nullptr), *made);
  return show_bits(**made);
}

void expect_success(const std::vector<std::string>& results) {
  for (size_t rank = 0; rank < results.size(); ++rank) EXPECT_EQ(results[rank], "") << "rank " << rank;
}

TEST(Split, HalvesAtTheSameTime) {
  const auto ranks = make_ranks(5);
  expect_success(run(ranks, {0, 1, 2, 3, 4}, [](Communicator& comm) -> Status {
    const std::vector<int> even = {0, 2, 4}, odd = {3, 1};
    if (Status s = split_and_use(comm, comm.rank() % 2 == 0 ? even : odd, comm.rank() % 2 == 0 ? 7 : 8); !s) return s;
    return show_bits(comm);  // the first one is as it was
  }));
}

TEST(Split, OfASplit) {
  const auto ranks = make_ranks(4);
  expect_success(run(ranks, {1, 2, 3}, [](Communicator& comm) -> Status {
    const std::vector<int> some = {3, 2, 1};
    const auto first = comm.split(some, 1, "first", kPage);
    if (!first || (*first)->rank() == 1) return first ? Status{} : fail(first.error());
    const std::vector<int> ends = {0, 2};  // ranks 3 and 1 of the first one
    const auto second = (*first)->split(ends, 1, "second", kPage);
    if (!second) return fail(second.error());
    EXPECT_EQ((*second)->rank(), comm.rank() == 3 ? 0 : 1);
    return show_bits(**second);
  }));
}

TEST(Split, OneRankAlone) {
  const auto ranks = make_ranks(2);
  expect_success(run(ranks, {1}, [](Communicator& comm) { return split_and_use(comm, {1}, 3); }));
}

TEST(Split, RefusesListsThatCannotBe) {
  const auto ranks = make_ranks(3);
  const auto refused = [&](const std::vector<int>& list, const std::string& part) {
    const auto made = ranks[1]->split(list, 1);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
    expect_part(made.error().message, part);
  };
  refused({}, "rank 1 is not listed");
  refused({0, 2}, "rank 1 is not listed");
  refused({1, 3}, "rank 3 listed, 0 to 2 wanted");
  refused({1, -1}, "rank -1 listed");
  refused({1, 2, 1}, "rank 1 listed twice");
  const auto named = ranks[1]->split(std::vector<int>{1}, 1, std::string(200, 'x'));
  ASSERT_FALSE(named);
  expect_part(named.error().message, "name of 200 bytes");
}

TEST(Split, DifferentListsAreNamed) {
  const auto ranks = make_ranks(3);
  const auto results = run(ranks, {0, 1}, [](Communicator& comm) -> Status {
    const std::vector<int> zero = {0, 1}, one = {2, 1};
    const auto made = comm.split(comm.rank() == 0 ? zero : one, 4, "group", kPage);
    return made ? Status{} : fail(made.error());
  });
  for (const int rank : {0, 1}) expect_part(results[static_cast<size_t>(rank)], "rank 1 of 'group' listed other ranks");
}

TEST(Split, SurvivorsGoOn) {
  const auto ranks = make_ranks(4);
  ranks[2]->abort({ErrorCode::internal, "broken"});
  expect_success(run(ranks, {0, 1, 3}, [](Communicator& comm) {
    EXPECT_FALSE(comm.health());
    return split_and_use(comm, {0, 1, 3}, 9);
  }));
}

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST(Split, AgainAndAgainLeavesNothing) {
  const auto ranks = make_ranks(3);
  const auto round = [](Communicator& comm) { return split_and_use(comm, {2, 0, 1}, 5); };
  expect_success(run(ranks, {0, 1, 2}, round));
  const size_t before = open_descriptors();
  for (int i = 0; i < 20; ++i) expect_success(run(ranks, {0, 1, 2}, round));
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace tandem
