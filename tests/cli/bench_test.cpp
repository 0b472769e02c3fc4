// SPDX-License-Identifier: Apache-2.0
// `tandem bench kernel` as a user runs it; sizes are tiny and no time is judged.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

const std::vector<std::string> kTiny = {"bench",    "kernel", "--quick", "--peers", "none", "--table",
                                        "portable", "--m",    "1,3",     "--shape", "64x34"};

std::vector<std::string> tiny(std::vector<std::string> more) {
  std::vector<std::string> all = kTiny;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

class Bench : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run({"bench", "kernel", "--help"}).out.find("--family") == std::string::npos)
      GTEST_SKIP() << "built without Google Benchmark";
  }
};

TEST_F(Bench, EveryRowIsVerifiedAndHasItsLimits) {
  const Outcome outcome = run(tiny(
      {"--family", "gemm,rows,attention", "--types", "f16xi8,f32xf32", "--layout", "packed,row,transposed", "--json"}));
  ASSERT_EQ(0, outcome.exit_code) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(1, std::count(outcome.out.begin(), outcome.out.end(), '\n'));
  EXPECT_TRUE(report.at("refused").empty());
  EXPECT_FALSE(report.at("machine").at("cpu").get<std::string>().empty());
  size_t products = 0;
  for (const auto& row : report.at("rows")) {
    EXPECT_TRUE(row.at("verified").get<bool>()) << row;
    EXPECT_EQ("portable", row.at("bits_of")) << row;
    EXPECT_LE(row.at("error_of_bound").get<double>(), 1) << row;
    EXPECT_EQ(2u, row.at("rounds_us").size()) << row;
    EXPECT_GT(row.at("limits").at(row.at("memory_limit").get<std::string>()).get<double>(), 0) << row;
    products += row.at("family") == "gemm";
  }
  EXPECT_EQ(12u, products);  // 2 types, 3 layouts, 2 m
}

TEST_F(Bench, FalsifiedResultsAreRefusedAndTheCommandFails) {
  for (const char* family : {"gemm", "rows", "attention"}) {
    const Outcome outcome = run(tiny({"--family", family, "--types", "f16xi8", "--spoil", "portable", "--json"}));
    EXPECT_EQ(1, outcome.exit_code) << family;
    EXPECT_NE(std::string::npos, outcome.err.find("not verified")) << outcome.err;
    const auto report = nlohmann::json::parse(outcome.out);
    EXPECT_TRUE(report.at("rows").empty()) << family;
    EXPECT_FALSE(report.at("refused").empty()) << family;
  }
}

TEST_F(Bench, AbsentPeersAreNotShown) {
  const Outcome outcome =
      run({"bench", "kernel", "--quick", "--family", "gemm", "--types", "f32xf32", "--m", "1", "--shape", "64x34",
           "--table", "portable", "--peer-folder", "/nowhere", "--peers", "openblas"});
  EXPECT_EQ(0, outcome.exit_code) << outcome.err;
  EXPECT_NE(std::string::npos, outcome.out.find("not shown: comparison with openblas")) << outcome.out;
}

TEST_F(Bench, WritesTheReportAndTheRoofline) {
  const auto folder = std::filesystem::temp_directory_path() / ("tandem_bench_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string report = folder / "run.json", plot = folder / "roofline.svg";
  const Outcome outcome = run(tiny({"--family", "gemm", "--types", "f16xf16", "--out", report, "--plot", plot}));
  EXPECT_EQ(0, outcome.exit_code) << outcome.err;
  EXPECT_EQ(2u, nlohmann::json::parse(file_bytes(report)).at("rows").size());
  EXPECT_NE(std::string::npos, file_bytes(plot).find("</svg>"));
  std::filesystem::remove_all(folder);
}

TEST_F(Bench, WrongNamesAreNamed) {
  for (const auto& [flag, value] : Variables{
           {"--family", "gem"}, {"--layout", "rows"}, {"--types", "f16"}, {"--shape", "64"}, {"--math", "quick"}}) {
    const Outcome outcome = run({"bench", "kernel", "--quick", flag, value});
    EXPECT_EQ(1, outcome.exit_code);
    EXPECT_NE(std::string::npos, outcome.err.find(value)) << outcome.err;
  }
}

}  // namespace
}  // namespace tandem::cli
