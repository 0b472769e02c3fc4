// SPDX-License-Identifier: Apache-2.0
// Collectives between ranks that are threads; processes in processes_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <thread>

#include "collective_run.h"

namespace tandem::test {
namespace {

using Ranks = std::vector<std::shared_ptr<Communicator>>;

Ranks make_ranks(int size, size_t window_bytes) {
  auto made = Communicator::local(size, std::vector<int>(static_cast<size_t>(size), 0), {}, window_bytes);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : Ranks{};
}

// One thread a rank; what each of them says, "" for success.
std::vector<std::string> on_ranks(const Ranks& ranks, const std::function<std::string(Communicator&, Lane&)>& body) {
  std::vector<std::string> results(ranks.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    threads.emplace_back([&, rank] {
      OwnLane own;
      results[rank] = body(*ranks[rank], own.lane);
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

std::string text_of(const Status& status) {
  return status ? "" : std::string(error_code_name(status.error().code)) + ": " + status.error().message;
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in '" << text << "'";
}

std::map<int, std::vector<CollectiveCase>> cases_by_ranks() {
  std::map<int, std::vector<CollectiveCase>> groups;
  for (const CollectiveCase& c : read_collective_cases()) {
    if (runnable(c)) groups[c.ranks].push_back(c);
  }
  return groups;
}

// A window of two pages cuts even small tensors into many turns.
class Cases : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Windows, Cases, testing::Values(8192, 100 * 1024, 8 << 20));

// All cases of a rank count one after the other, so that halves and counters go on from any state.
TEST_P(Cases, EveryByteIsRight) {
  for (const auto& group : cases_by_ranks()) {
    const int size = group.first;
    const auto& cases = group.second;
    const Ranks ranks = make_ranks(size, GetParam());
    ASSERT_EQ(ranks.size(), static_cast<size_t>(size));
    const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
      for (const CollectiveCase& c : cases) {
        if (std::string text = run_case(c, comm, lane); !text.empty()) return text;
      }
      return {};
    });
    for (const std::string& text : results) EXPECT_EQ(text, "");
  }
}

// Device memory of threads is reached the same way as that of processes.
TEST(Collectives, EveryByteIsRightInDeviceMemory) {
  for (const auto& group : cases_by_ranks()) {
    const int size = group.first;
    const auto& cases = group.second;
    if (size > 5) continue;
    const Ranks ranks = make_ranks(size, 64 * 1024);
    const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
      for (const CollectiveCase& c : cases) {
        const Memory memory = c.type == DType::i8 ? Memory::mixed : Memory::device;
        if (std::string text = run_case(c, comm, lane, memory); !text.empty()) return text;
      }
      return {};
    });
    for (const std::string& text : results) EXPECT_EQ(text, "");
  }
}

TEST(Collectives, ReadsEnoughCases) {
  size_t count = 0;
  for (const auto& [size, cases] : cases_by_ranks()) count += cases.size();
  EXPECT_GT(count, 300u);
}

Status fused_like(Communicator& comm, int round) {
  Fingerprint call;
  call.operation[0] = 'x';
  call.rows = round;
  if (const auto begun = comm.begin(call); !begun) return fail(begun.error());
  std::fill_n(comm.window(comm.rank()), comm.window_bytes(), static_cast<std::byte>(round));
  comm.arrive(Signal::ready, comm.base() + 1);
  if (Status s = comm.await_all(Signal::ready, comm.base() + 1, "ready"); !s) return s;
  for (int peer = 0; peer < comm.size(); ++peer) {
    const std::byte* window = comm.window(peer);
    const size_t right =
        static_cast<size_t>(std::count(window, window + comm.window_bytes(), static_cast<std::byte>(round)));
    if (right != comm.window_bytes()) return fail(ErrorCode::internal, "the window was overwritten too early");
  }
  comm.arrive(Signal::done, comm.base() + 1);
  comm.arrive(Signal::free, comm.base() + 1);
  comm.advance(1);
  comm.end();
  return {};
}

TEST(Collectives, MixWithOperatorsThatUseTheWholeWindow) {
  const Ranks ranks = make_ranks(3, 8192);
  const auto results = on_ranks(ranks, [](Communicator& comm, Lane& lane) -> std::string {
    std::vector<int32_t> in(1500), out(4500);
    for (int round = 0; round < 200; ++round) {
      for (int repeat = 0; repeat <= round % 3; ++repeat) {
        std::fill(in.begin(), in.end(), 1000 * round + comm.rank());
        if (Status s = all_gather(comm, in.data(), out.data(), 1500, DType::i32, lane); !s) return text_of(s);
        for (int i = 0; i < 4500; ++i) {
          if (out[static_cast<size_t>(i)] != 1000 * round + i / 1500) return "wrong number";
        }
      }
      if (Status s = fused_like(comm, round % 100); !s) return text_of(s);
      if (Status s = barrier(comm, lane); !s) return text_of(s);
    }
    return {};
  });
  for (const std::string& text : results) EXPECT_EQ(text, "");
}

TEST(Messages, RunAroundTheRing) {
  for (const int size : {2, 3, 8}) {
    for (const int64_t count : {0, 1, 5, 4000, 300'000}) {
      const Ranks ranks = make_ranks(size, 8192 * 4);
      const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
        const int next = (comm.rank() + 1) % size, previous = (comm.rank() + size - 1) % size;
        std::vector<int32_t> out(static_cast<size_t>(count) + 1, -1), in(out.size(), comm.rank());
        for (int round = 0; round < 5; ++round) {
          std::fill(out.begin(), out.end(), -1);
          const Message both[] = {{Message::Kind::send, in.data(), count, DType::i32, next},
                                  {Message::Kind::receive, out.data(), count, DType::i32, previous}};
          if (Status s = batch_send_recv(comm, both, lane); !s) return text_of(s);
          if (std::count(out.begin(), out.end() - 1, previous) != count || out.back() != -1) return "wrong number";
          std::swap(in, out);
          std::fill(in.begin(), in.end(), comm.rank());
        }
        return {};
      });
      for (const std::string& text : results) EXPECT_EQ(text, "");
    }
  }
}

// Every rank to every rank, itself too, several messages of a direction: order between two ranks is kept.
TEST(Messages, ManyAtOnceKeepTheirOrder) {
  const int size = 4;
  const Ranks ranks = make_ranks(size, 8192);
  const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
    constexpr int64_t kCounts[] = {700, 0, 3, 1};
    std::vector<std::vector<int16_t>> data;
    std::vector<Message> messages;
    data.reserve(64);
    for (int peer = size - 1; peer >= 0; --peer) {
      for (int i = 0; i < 4; ++i) {
        const int64_t count = kCounts[i];
        data.emplace_back(static_cast<size_t>(count + 1), static_cast<int16_t>(100 * comm.rank() + 10 * peer + i));
        messages.push_back({Message::Kind::send, data.back().data(), count, DType::i16, peer});
        data.emplace_back(static_cast<size_t>(count + 1), static_cast<int16_t>(-1));
        messages.push_back({Message::Kind::receive, data.back().data(), count, DType::i16, peer});
      }
    }
    if (Status s = batch_send_recv(comm, messages, lane); !s) return text_of(s);
    for (size_t m = 1; m < messages.size(); m += 2) {
      const auto wanted = static_cast<int16_t>(100 * messages[m].peer + 10 * comm.rank() + static_cast<int>(m / 2 % 4));
      for (size_t i = 0; i < static_cast<size_t>(messages[m].count); ++i) {
        if (data[m][i] != wanted) return "message " + std::to_string(m) + " is wrong";
      }
    }
    return {};
  });
  for (const std::string& text : results) EXPECT_EQ(text, "");
}

TEST(Messages, OthersTakeNoPart) {
  const Ranks ranks = make_ranks(4, 8192);
  const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
    std::vector<int64_t> data(20'000, comm.rank());
    if (comm.rank() == 1) return text_of(send(comm, data.data(), 20'000, DType::i64, 3, lane));
    if (comm.rank() != 3) return {};
    if (Status s = recv(comm, data.data(), 20'000, DType::i64, 1, lane); !s) return text_of(s);
    return std::count(data.begin(), data.end(), 1) == 20'000 ? "" : "wrong number";
  });
  for (const std::string& text : results) EXPECT_EQ(text, "");
}

TEST(Messages, DifferentLengthsAreNamedOnAllRanks) {
  const Ranks ranks = make_ranks(2, 8192);
  const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
    std::vector<int32_t> data(100, 7);
    if (comm.rank() == 0) return text_of(send(comm, data.data(), 10, DType::i32, 1, lane));
    const std::string text = text_of(recv(comm, data.data(), 12, DType::i32, 0, lane));
    return std::count(data.begin(), data.end(), 7) == 100 ? text : "something was written";
  });
  for (const std::string& text : results) {
    EXPECT_EQ(text, "mismatch: rank 0 sends 10 elements of i32 to rank 1, which expects 12 of i32");
  }
}

// Every rank calls `call(rank)`; no byte of an output may change, and all must say the same.
void expect_mismatch(int size, const std::function<Status(Communicator&, std::byte*, Lane&)>& call,
                     const std::string& part) {
  const Ranks ranks = make_ranks(size, 8192);
  const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
    Bytes out(4096, std::byte{7});
    const std::string text = text_of(call(comm, out.data(), lane));
    const bool untouched = std::count(out.begin(), out.end(), std::byte{7}) == 4096;
    return untouched ? text : "something was written: " + text;
  });
  for (const std::string& text : results) {
    EXPECT_EQ(text, results[0]);
    EXPECT_EQ(text.rfind("mismatch: ", 0), 0u) << text;
    expect_part(text, part);
  }
}

TEST(Mismatch, OfCountTypeRootOperator) {
  static const Bytes in(4096);
  expect_mismatch(
      3,
      [](Communicator& c, std::byte* out, Lane& lane) {
        return all_gather(c, in.data(), out, c.rank() == 1 ? 9 : 8, DType::f32, lane);
      },
      "rank 1 called all_gather count=9 dtype=f32, rank 0 called all_gather count=8 dtype=f32");
  expect_mismatch(
      3,
      [](Communicator& c, std::byte* out, Lane& lane) {
        return all_gather(c, in.data(), out, 8, c.rank() == 2 ? DType::f16 : DType::f32, lane);
      },
      "rank 2 called all_gather count=8 dtype=f16");
  expect_mismatch(
      3,
      [](Communicator& c, std::byte* out, Lane& lane) {
        return broadcast(c, out, 8, DType::i8, c.rank() == 2 ? 1 : 0, lane);
      },
      "rank 2 called broadcast count=8 dtype=i8 root=1");
  expect_mismatch(
      2,
      [](Communicator& c, std::byte* out, Lane& lane) {
        if (c.rank() == 1) return all_to_all(c, in.data(), out, 8, DType::i8, lane);
        return all_gather(c, in.data(), out, 8, DType::i8, lane);
      },
      "rank 1 called all_to_all count=8 dtype=i8, rank 0 called all_gather");
}

TEST(Mismatch, OfPartsAndMatrices) {
  static const Bytes in(4096);
  expect_mismatch(
      3,
      [](Communicator& c, std::byte* out, Lane& lane) {
        const std::vector<int64_t> counts = {1, 2, 3}, at = {0, 1, c.rank() == 1 ? 4 : 3};
        return all_gather_v(c, in.data(), out, {counts, at}, DType::i32, lane);
      },
      "rank 1 called all_gather_v count=6 dtype=i32 counts and displacements #");
  expect_mismatch(
      2,
      [](Communicator& c, std::byte* out, Lane& lane) {
        const std::vector<int64_t> matrix = {1, 1, 1, 1 + c.rank()};
        return all_to_all_vc(c, in.data(), out, matrix, DType::i32, lane);
      },
      "rank 1 called all_to_all_vc");
  expect_mismatch(
      3,
      [](Communicator& c, std::byte* out, Lane& lane) {
        const std::vector<int64_t> sends = {1, 1, c.rank() == 1 ? 2 : 1}, receives = {1, 1, 1}, at = {0, 8, 16};
        return all_to_all_v(c, in.data(), {sends, at}, out, {receives, at}, DType::i32, lane);
      },
      "all_to_all_v: rank 1 sends 2 elements to rank 2, which expects 1");
}

TEST(Mismatch, OfTheCombination) {
  if (!runnable({.op = "all_reduce"})) GTEST_SKIP() << "no table combines";
  static const Bytes in(4096);
  expect_mismatch(
      2,
      [](Communicator& c, std::byte* out, Lane& lane) {
        return all_reduce(c, in.data(), out, 8, DType::f32, c.rank() == 0 ? Combine::sum : Combine::maximum, lane);
      },
      "rank 1 called all_reduce count=8 dtype=f32 reduction=maximum, rank 0 called all_reduce count=8 dtype=f32 "
      "reduction=sum");
}

TEST(Refused, BeforeAnythingIsAnnounced) {
  const Ranks ranks = make_ranks(2, 8192);
  OwnLane own;
  Communicator& comm = *ranks[0];
  std::vector<int64_t> two = {1, 2}, negative = {1, -1}, one = {1};
  int32_t data[8] = {};
  EXPECT_EQ(all_gather(comm, data, data, -1, DType::i32, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(all_gather(comm, nullptr, data, 1, DType::i32, own.lane).error().code, ErrorCode::null_argument);
  EXPECT_EQ(all_gather(comm, data, data, 1, DType::i4, own.lane).error().code, ErrorCode::unsupported);
  EXPECT_EQ(broadcast(comm, data, 1, DType::i32, 2, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(broadcast(comm, data, 1, DType::i32, -1, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(all_gather_v(comm, data, data, {two, negative}, DType::i32, own.lane).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(all_gather_v(comm, data, data, {one, one}, DType::i32, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(all_to_all_vc(comm, data, data, two, DType::i32, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(send(comm, data, 1, DType::i32, 0, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(send(comm, data, 1, DType::i32, 2, own.lane).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(comm.health());
}

TEST(Ending, AbortAndLeavingEndMessages) {
  const Ranks ranks = make_ranks(3, 8192);
  const auto results = on_ranks(ranks, [&](Communicator& comm, Lane& lane) -> std::string {
    std::vector<int32_t> data(10'000);
    if (comm.rank() == 2) {
      comm.abort({ErrorCode::out_of_memory, "no more"});
      return {};
    }
    if (comm.rank() == 1) return text_of(recv(comm, data.data(), 10'000, DType::i32, 2, lane));
    return text_of(send(comm, data.data(), 10'000, DType::i32, 2, lane));
  });
  for (const size_t rank : {0u, 1u}) expect_part(results[rank], "rank 2 aborted: no more");
}

}  // namespace
}  // namespace tandem::test
