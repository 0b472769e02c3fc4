// SPDX-License-Identifier: Apache-2.0
// `tandem bench collective` as a user runs it; sizes are tiny and no time is judged.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

const std::vector<std::string> kTiny = {"bench", "collective", "-b", "1K", "-e", "16K",      "-f",
                                        "16",    "-n",         "3",  "-w", "1",  "--rounds", "2"};

std::vector<std::string> tiny(std::vector<std::string> more) {
  std::vector<std::string> all = kTiny;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

nlohmann::json report_of(const Outcome& outcome) {
  EXPECT_EQ(0, outcome.exit_code) << outcome.err;
  auto report = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(report.is_object()) << outcome.out;
  return report.is_object() ? report : nlohmann::json{{"groups", nlohmann::json::array()}};
}

void expect_rows(const nlohmann::json& report, size_t wanted) {
  ASSERT_EQ(1u, report.at("groups").size());
  const auto& rows = report.at("groups").at(0).at("rows");
  EXPECT_EQ(wanted, rows.size());
  for (const auto& row : rows) {
    EXPECT_TRUE(row.contains("out_of_place") || row.contains("in_place")) << row;
    for (const char* who : {"out_of_place", "in_place"}) {
      if (!row.contains(who)) continue;
      EXPECT_EQ(0, row[who]["wrong"].get<int>()) << row;
      EXPECT_GT(row[who]["us"].get<double>(), 0) << row;
      EXPECT_EQ(2u, row[who]["rounds_us"].size()) << row;
    }
  }
}

TEST(BenchCollective, EveryOperationIsRightAmongThreads) {
  expect_rows(report_of(run(tiny({"--op", "all", "-p", "3", "--json"}))), 24);
}

TEST(BenchCollective, EveryOperationIsRightAmongProcesses) {
  for (const char* buffers : {"private", "device"}) {
    expect_rows(report_of(run(tiny({"--op", "all", "-p", "2", "--processes", "--buffers", buffers, "--json"}))), 24);
  }
}

TEST(BenchCollective, EveryTypeAndCombination) {
  expect_rows(report_of(run({"bench", "collective", "-b", "2K", "-e", "2K", "-n", "3", "-w", "1", "--rounds", "2", "-d",
                             "all", "-o", "all", "-p", "3", "--json"})),
              50);
}

TEST(BenchCollective, FalsifiedResultsAreRefusedAndTheCommandFails) {
  const Outcome outcome = run(tiny({"--spoil"}));
  EXPECT_EQ(1, outcome.exit_code);
  EXPECT_NE(std::string::npos, outcome.err.find("wrong results")) << outcome.err;
  EXPECT_NE(std::string::npos, outcome.out.find("FAILED")) << outcome.out;
}

TEST(BenchCollective, TablesHaveTheColumnsOfTheirModels) {
  const Outcome nccl = run(tiny({}));
  for (const char* word : {"size", "count", "redop", "algbw", "busbw", "#wrong", "out-of-place", "in-place",
                           "# Avg bus bandwidth", "# Out of bounds values : 0 OK"}) {
    EXPECT_NE(std::string::npos, nccl.out.find(word)) << word << nccl.out;
  }
  const Outcome hccl = run(tiny({"--style", "hccl", "-d", "fp32"}));
  for (const char* word : {"the minbytes is 1024, maxbytes is 16384",
                           "data_size(Bytes):", "aveg_time(us):", "alg_bandwidth(GB/s):", "check_result:", "success"}) {
    EXPECT_NE(std::string::npos, hccl.out.find(word)) << word << hccl.out;
  }
}

TEST(BenchCollective, AbsentPeersAreNotShown) {
  const Outcome outcome = run(tiny({"--compare", "all", "--peer-folder", "/nowhere"}));
  EXPECT_EQ(0, outcome.exit_code) << outcome.err;
  for (const char* peer : {"openmpi", "mpich", "gloo"}) {
    EXPECT_NE(std::string::npos, outcome.out.find(std::string("not shown: comparison with ") + peer)) << outcome.out;
  }
}

TEST(BenchCollective, WritesTheReportAndThePlot) {
  const auto folder = std::filesystem::temp_directory_path() / ("tandem_collective_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string report = folder / "run.json", plot = folder / "run.svg";
  EXPECT_EQ(0, run(tiny({"--out", report, "--plot", plot})).exit_code);
  expect_rows(nlohmann::json::parse(file_bytes(report)), 2);
  EXPECT_NE(std::string::npos, file_bytes(plot).find("</svg>"));
  std::filesystem::remove_all(folder);
}

TEST(BenchCollective, TellsTheTimeLeftWhenAsked) {
  const Outcome outcome = run(tiny({"--progress", "--processes"}));
  EXPECT_NE(std::string::npos, outcome.err.find("2 of 2: all_reduce float 16384 bytes, about")) << outcome.err;
}

TEST(BenchCollective, AnInterruptLeavesNothingBehind) {
  Tool tool(
      {"bench", "collective", "--processes", "-p", "3", "--rounds", "1000", "--visit", "10", "-b", "1K", "-e", "1K"});
  ASSERT_TRUE(tool.wait_for_text(3, ""));
  const std::vector<pid_t> ranks = tool.children();
  ::kill(tool.pid(), SIGINT);
  EXPECT_EQ(128 + SIGINT, tool.finish().exit_code);
  for (const pid_t rank : ranks) EXPECT_FALSE(alive(rank));
}

TEST(BenchCollective, WrongNamesAreNamed) {
  for (const auto& [flag, value] : Variables{
           {"--op", "all_reduc"}, {"-d", "floaty"}, {"-o", "mean"}, {"-b", "1Q"}, {"--compare", "mpj"}, {"-r", "7"}}) {
    const Outcome outcome = run({"bench", "collective", flag, value});
    EXPECT_EQ(1, outcome.exit_code) << flag;
    EXPECT_NE(std::string::npos, outcome.err.find(flag == "-b" ? "--minbytes" : value)) << outcome.err;
  }
}

}  // namespace
}  // namespace tandem::cli
