// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/rank_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

namespace tandem {
namespace {

using nlohmann::json;

json cases() {
  std::ifstream file(TANDEM_SOURCE_DIR "/tests/cases/rank_tables.json");
  return json::parse(file);
}

void expect_in_order(const std::string& text, const json& parts) {
  size_t at = 0;
  for (const std::string part : parts) {
    const size_t found = text.find(part, at);
    ASSERT_NE(found, std::string::npos) << "'" << part << "' is not in: " << text;
    at = found + part.size();
  }
}

void check_ranks(const RankTable& table, const json& wanted) {
  ASSERT_EQ(table.ranks.size(), wanted.size());
  for (size_t rank = 0; rank < wanted.size(); ++rank) {
    EXPECT_EQ(table.ranks[rank].server, wanted[rank][0]);
    EXPECT_EQ(table.ranks[rank].device, wanted[rank][1]);
    const RankTable::Server& server = table.servers[static_cast<size_t>(table.ranks[rank].server)];
    EXPECT_LE(server.first_rank, static_cast<int>(rank));
    EXPECT_LT(static_cast<int>(rank), server.first_rank + server.ranks);
  }
}

TEST(RankTable, Cases) {
  const json all = cases();
  for (const json& one : all["cases"]) {
    SCOPED_TRACE(one["name"]);
    const std::string text =
        one.contains("text") ? one["text"].get<std::string>() : all["base"].patch(one["patch"]).dump();
    const auto table = parse_rank_table(text, "FILE");
    ASSERT_EQ(table.has_value(), !one.contains("says")) << (table ? "accepted" : table.error().message);
    if (table) {
      check_ranks(*table, one["ranks"]);
    } else {
      expect_in_order(table.error().message, one["says"]);
    }
  }
}

TEST(RankTable, KeepsWhatTransportsNeed) {
  const json all = cases();
  json table = all["base"];
  table["version"] = "1.2";
  table["server_list"][0]["host_ip"] = "10.1.1.1";
  table["server_list"][0]["device"][0]["host_port"] = "16666";
  table["super_pod_list"] = {{{"super_pod_id", "9"}, {"server_list", {{{"server_id", "10.0.0.2"}}}}}};
  const auto parsed = parse_rank_table(table.dump(), "FILE");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->version, "1.2");
  EXPECT_EQ(parsed->servers[0].host_ip, "10.1.1.1");
  EXPECT_EQ(parsed->servers[1].host_ip, "");
  EXPECT_EQ(parsed->servers[1].super_pod, "9");
  EXPECT_EQ(parsed->servers[1].first_rank, 2);
  EXPECT_EQ(parsed->ranks[0].device_ip, "192.168.1.8");
  EXPECT_EQ(parsed->ranks[0].host_port, 16666);
  EXPECT_EQ(parsed->ranks[1].host_port, 0);
}

std::string table_of_one_host(int ranks) {
  json table = {{"version", "1.0"}, {"status", "completed"}, {"server_list", json::array()}};
  json server = {{"server_id", "10.0.0.1"}, {"device", json::array()}};
  for (int rank = 0; rank < ranks; ++rank) {
    server["device"].push_back({{"device_id", std::to_string(rank)}, {"rank_id", std::to_string(rank)}});
  }
  table["server_list"].push_back(server);
  return table.dump();
}

TEST(RankTable, LimitsBeforeMemory) {
  const auto most = parse_rank_table(table_of_one_host(kMaxTableRanks), "FILE");
  ASSERT_TRUE(most) << most.error().message;
  EXPECT_EQ(most->ranks.size(), static_cast<size_t>(kMaxTableRanks));
  EXPECT_FALSE(parse_rank_table(table_of_one_host(kMaxTableRanks + 1), "FILE"));
  const auto large = parse_rank_table(std::string(kMaxTableBytes + 1, ' '), "FILE");
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().message.find("at most 4194304"), std::string::npos) << large.error().message;
}

TEST(RankTable, OneAddressForTheSameRanks) {
  const auto table = parse_rank_table(table_of_one_host(4), "FILE");
  ASSERT_TRUE(table);
  const auto first = rendezvous_of(*table, 0, "FILE");
  const auto last = rendezvous_of(*table, 3, "other/FILE");
  ASSERT_TRUE(first && last);
  EXPECT_EQ(first->address, last->address);
  EXPECT_EQ(first->name, last->name);
  EXPECT_EQ(last->rank, 3);
  EXPECT_EQ(last->size, 4);
  EXPECT_EQ(last->device, 3);
  const auto other = parse_rank_table(table_of_one_host(5), "FILE");
  ASSERT_TRUE(other);
  EXPECT_NE(rendezvous_of(*other, 0, "FILE")->address, first->address);
  const auto beyond = rendezvous_of(*table, 4, "FILE");
  ASSERT_FALSE(beyond);
  EXPECT_NE(beyond.error().message.find("rank 4 of 4"), std::string::npos) << beyond.error().message;
}

class TableFile : public testing::Test {
 protected:
  TableFile() { std::filesystem::remove(path_); }
  ~TableFile() override { std::filesystem::remove(path_); }
  void write(const std::string& text) const {
    std::ofstream(path_ + ".part") << text;
    std::filesystem::rename(path_ + ".part", path_);
  }
  const std::string path_ = testing::TempDir() + "rank-table-" + std::to_string(getpid()) +
                            testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(TableFile, IsReadAgainUntilCompleted) {
  write(R"({"version":"1.0","status":"initializing"})");
  std::thread writer([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    write(table_of_one_host(2));
  });
  const auto table = read_rank_table(path_, 60);
  writer.join();
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->ranks.size(), 2u);
}

TEST_F(TableFile, ThatStaysIncompleteIsAnError) {
  write(R"({"version":"1.0","status":"initializing"})");
  const auto table = read_rank_table(path_, 0.1);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::timed_out);
  EXPECT_NE(table.error().message.find(path_), std::string::npos);
}

TEST_F(TableFile, ThatIsNotThereIsAnError) {
  const auto table = read_rank_table(path_, 60);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::io);
  EXPECT_NE(table.error().message.find(path_), std::string::npos) << table.error().message;
}

}  // namespace
}  // namespace tandem
